package facts

// Size is how much there is to look at in a set, for those who count the cost of
// doing so.
type Size struct {
	Names     int // elements; of a list of instances the attributes of all of them
	NameBytes int // all names together
	Instances int
	Bytes     int // the values of all instances together
}

// Size returns the size of a set.
func (f *Facts) Size(set string) Size {
	size := Size{Instances: len(f.instances[set])}
	f.eachName(set, func(name string, _ Fact) bool {
		size.Names++
		size.NameBytes += len(name)
		return true
	})
	for _, instance := range f.instances[set] {
		for _, value := range instance {
			size.Bytes += len(value)
		}
	}
	return size
}
