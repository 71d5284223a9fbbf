// Package listen is the one constructor of TCP listeners and dialers, so that every port speaks the same way and TLS can be
// put underneath in one place.
//
// One port serves several protocols. A connection that is neither HTTP/1.1 nor HTTP/2 begins with a preface, one line that
// names its protocol:
//
//	godwit/<protocol> <arg> <arg>...\n
//
// The preface is read byte by byte and never past its newline, so that what is handed out is the plain *net.TCPConn with no
// byte lost: its file descriptor may be passed to another process. Any other first bytes mean HTTP.
//
// A Listener that is Secure speaks TLS 1.3 alone. ALPN says which protocol is meant before anybody is let in: h2 and http/1.1 are HTTP, godwit-<protocol> is a
// prefaced one, whose preface comes inside, as above. Who may connect is decided by the protocol and by whom the certificate names (internal/trust).
package listen
