// Package raftnode runs one member of the Raft group: the log on disk, the peers' connections, proposals in batches,
// linearizable reads and the work of a leader. It is given the state machine and knows nothing of what the log says.
package raftnode
