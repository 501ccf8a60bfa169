package selector

import "github.com/imagefit/imagefit/pkg/compat"

// tally counts how parts come out, to tell how the whole does.
type tally struct {
	combine             compat.Combine
	fits, unfit, unsure bool // some part; unsure is Check.unsure
	unknown, several    bool // several: more than one part fits
	gain                int  // in AllOf the sum, else of the best part that fits
	met, best           int32
}

func (t *tally) add(i int, c *Check) {
	if t.combine == compat.AllOf {
		t.addRequired(c)
		return
	}
	t.count(c)
	if t.combine == compat.NoneOf { // that none holds is one condition
		t.met = 1
		return
	}
	better := c.gain > t.gain || c.gain == t.gain && c.met > t.met
	if c.Outcome == Fits && (t.best < 0 || better) {
		t.best, t.gain, t.met = int32(min(i, maxCount)), c.gain, c.met //nolint:gosec // it fits
	}
}

// addRequired adds a part of AllOf by its importance. The weight
// of a single condition is added only if it is preferred; that of a tree is what
// its author gave to one of several ways to be compatible.
func (t *tally) addRequired(c *Check) {
	req := c.Requirement
	switch req.Importance {
	case compat.Required:
		t.count(c)
		t.met += c.met
		if req.Combine != compat.Leaf && c.Outcome == Fits {
			t.gain += c.gain
		}
	case compat.Preferred:
		if c.Outcome == Fits {
			t.gain += c.gain
		}
	}
}

func (t *tally) count(c *Check) {
	switch c.Outcome {
	case Fits:
		t.several = t.several || t.fits
		t.fits = true
	case Unfit:
		t.unfit = true
	default:
		t.unknown = true
		t.unsure = t.unsure || c.unsure
	}
}

// isDecided reports that no further part can change the outcome, nor add to the
// score of what fits.
func (t *tally) isDecided() bool {
	switch t.combine {
	case compat.AllOf:
		return t.unfit
	case compat.OneOf:
		return t.several
	case compat.NoneOf:
		return t.fits
	default:
		return false
	}
}

func (t *tally) outcome() Outcome {
	switch t.combine {
	case compat.AllOf:
		return firstOf(t.unfit, t.unknown, Unfit, Fits)
	case compat.AnyOf:
		return firstOf(t.fits, t.unknown, Fits, Unfit)
	case compat.OneOf:
		return firstOf(t.several, t.unknown, Unfit, known(t.fits))
	case compat.NoneOf:
		return firstOf(t.fits, t.unknown, Unfit, Fits)
	default:
		return Unknown
	}
}

// firstOf is decided where some part decides by itself, else unknown where one
// is unknown, else the rest.
func firstOf(isDecided, isUnknown bool, decided, rest Outcome) Outcome {
	switch {
	case isDecided:
		return decided
	case isUnknown:
		return Unknown
	default:
		return rest
	}
}

// and combines two outcomes: what is known not to fit stays so, whatever else
// is unknown.
func and(a, b Outcome) Outcome {
	switch {
	case a == Unfit || b == Unfit:
		return Unfit
	case a == Unknown || b == Unknown:
		return Unknown
	default:
		return Fits
	}
}

func not(o Outcome) Outcome {
	switch o {
	case Fits:
		return Unfit
	case Unfit:
		return Fits
	default:
		return Unknown
	}
}

func known(holds bool) Outcome {
	if holds {
		return Fits
	}
	return Unfit
}
