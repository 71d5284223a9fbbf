package apiv1

// MaxModuleBytes is the size of the largest module that the servers take, and so the most that they send.
const MaxModuleBytes = 64 << 20
