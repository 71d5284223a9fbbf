package fsm

import apiv1 "github.com/godwit-run/godwit/api/v1"

func (t *tx) operate(cmd *apiv1.Command) outcome { return faulty(ErrUnknownCommand) }
