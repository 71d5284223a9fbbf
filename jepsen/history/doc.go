// Package history holds what clients have asked and been told while a cluster was tortured, and its judges.
//
// A recorder notes each operation as a closed interval of one monotonic clock, and whether it was done, was certainly not
// done, or is unknown. Three judges look at it afterwards, each without trust in the others:
//
//   - Linearizable searches, app by app, an order of the operations that a single correct scheduler could have given. It
//     knows nothing of the log.
//   - Witness holds the history against the log that the servers have stored: a write that was acknowledged is in there
//     once, one that was refused is not, and indexes never contradict time.
//   - Audit replays the log with a state of its own, written apart from the product's: slots, phases, epochs, migrations,
//     verdicts.
//
// Before them, Agree finds what the servers' logs have in common, and fails where they are at odds.
package history
