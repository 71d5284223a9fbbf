// Package fleet measures what a cluster's servers do for many hosts, on one machine: the servers are real processes, the hosts are real workers
// (package worker, with its sessions, leases, apps, logs and fetches of modules), all in this process, whose executors are played: their ranks last for as long as the load
// says, send nothing, and migrate as a worker has them do. There is no gossip of workers.
package fleet
