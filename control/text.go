package control

import "github.com/godwit-run/godwit/fsm"

// maxReasonBytes bounds a reason that enters the log: a person reads it.
const maxReasonBytes = fsm.MaxReasonBytes
