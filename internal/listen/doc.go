// Package listen is the one constructor of TCP listeners and dialers, so that every port speaks the same way and TLS can be
// put underneath in one place.
//
// One port serves several protocols. A connection that is neither HTTP/1.1 nor HTTP/2 begins with a preface, one line that
// names its protocol:
//
//	godwit/<protocol> <arg> <arg>...\n
//
// The preface is read byte by byte and never past its newline, so that what is handed out is the plain *net.TCPConn with no
// byte lost: its file descriptor may be passed to another process. Any other first bytes mean HTTP. With TLS, ALPN will take
// the place of the preface.
package listen
