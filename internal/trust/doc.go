// Package trust is who is who in a cluster: its authority, which signs certificates; what such a certificate says of whoever has it; the tokens by which machines and people get one, or
// call without; and TLS where both ends know each other by that.
//
// A certificate names its holder by one URI, godwit://CLUSTER/ROLE/NAME, and by nothing else: addresses change, and a machine may have many. Who connects says which role it expects at the
// other end, and which name if it knows one; who is connected to decides by the role. A token has in it the hash of the authority's key, so that a machine that has nothing but the token
// knows the cluster before it says the secret. Kept is what a process has of all that in its data directory.
package trust
