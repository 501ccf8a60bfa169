package policy

// The reasons for admitting a container without a check.
const (
	NotIdentified   Reason = "image_not_identified" // the runtime does not tell which image it is
	NotKnown        Reason = "image_not_known"      // nothing is kept of the image
	NotEvaluatedYet Reason = "not_evaluated_yet"    // something is kept of it, and waits for the worker
	OtherName       Reason = "other_name"           // it is known under other names only
	Starting        Reason = "plugin_starting"      // the plugin has not yet evaluated what is known
	NotConnected    Reason = "plugin_not_connected" // it was created while the plugin was away
)

// Unchecked lists the reasons for admitting a container without a check.
func Unchecked() []Reason {
	return []Reason{NotIdentified, NotKnown, NotEvaluatedYet, OtherName, Starting, NotConnected}
}
