package policy

// Action is what came of a pull or of a container.
type Action string

// The actions. A pull is pulled, forwarded, refused or failed; a container is
// admitted or refused, or found running although it does not fit.
const (
	Pulled     Action = "pulled"    // the variant that fits best is on the node
	Forwarded  Action = "forwarded" // the request went on to the runtime unchanged
	Refused    Action = "refused"
	Failed     Action = "failed" // the runtime did not pull what was chosen, or the call ended
	Admitted   Action = "admitted"
	FoundUnfit Action = "unfit" // found running; nothing that runs is ever stopped
)

// Actions lists the actions in the order in which people should read them.
func Actions() []Action { return []Action{Pulled, Forwarded, Refused, Failed, Admitted, FoundUnfit} }
