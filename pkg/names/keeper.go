package names

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Keeper keeps names. A reference is the name of one image at most.
type Keeper struct {
	stores []Store

	writing sync.Mutex // held while a store is read or written
	store   Store      // that was loaded, else nil
	loaded  atomic.Bool

	mu          sync.RWMutex
	byReference map[string]Name
	byImage     map[string]map[string]Name
}

// NewKeeper returns a Keeper of the names in the first of the stores that the runtime
// has.
func NewKeeper(stores ...Store) *Keeper {
	return &Keeper{stores: stores, byReference: map[string]Name{}, byImage: map[string]map[string]Name{}}
}

// Load reads the names, unless that was done already. Until then there are none. Once
// they are read it waits for nothing.
func (k *Keeper) Load(ctx context.Context) error {
	if k.loaded.Load() {
		return nil
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	return k.load(ctx)
}

func (k *Keeper) load(ctx context.Context) error {
	if k.store != nil {
		return nil
	}
	for _, store := range k.stores {
		all, err := store.Load(ctx)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("load the names of images: %w", err)
		}
		// The newer of two for one reference, which a crash can leave, is the right one.
		slices.SortStableFunc(all, func(a, b Name) int { return a.Since.Compare(b.Since) })
		k.store = store
		for _, n := range all {
			k.put(n)
		}
		k.loaded.Store(true)
		return nil
	}
	return fmt.Errorf("load the names of images: %w", ErrUnsupported)
}

// Keep writes names for good and answers with them from then on.
func (k *Keeper) Keep(ctx context.Context, all ...Name) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	if err := k.load(ctx); err != nil {
		return err
	}
	for _, n := range all {
		old, known := k.Get(n.Reference)
		if known && old.same(n) && k.store.Has(ctx, old) {
			continue
		}
		if err := k.store.Save(ctx, n); err != nil {
			return fmt.Errorf("keep the name %s of image %s: %w", n.Reference, n.ImageID, err)
		}
		k.put(n)
		if known && old.ImageID != n.ImageID {
			// The newer one is taken where this fails.
			_ = k.store.Delete(ctx, old)
		}
	}
	return nil
}

// Forget removes names, those that it can where there is an error.
func (k *Keeper) Forget(ctx context.Context, references ...string) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	var failed []error
	for _, reference := range references {
		n, known := k.Get(reference)
		if !known {
			continue
		}
		k.drop(n)
		if err := k.store.Delete(ctx, n); err != nil {
			failed = append(failed, fmt.Errorf("forget the name %s of image %s: %w", reference, n.ImageID, err))
		}
	}
	return errors.Join(failed...)
}

// Get returns the name with a reference.
func (k *Keeper) Get(reference string) (Name, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	n, known := k.byReference[reference]
	return n, known
}

// Of returns the names of an image, in their order.
func (k *Keeper) Of(imageID string) []Name {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.byImage[imageID]) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Values(k.byImage[imageID]), byReference)
}

// All returns all names, in their order.
func (k *Keeper) All() []Name {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.SortedFunc(maps.Values(k.byReference), byReference)
}

// Len is how many names there are.
func (k *Keeper) Len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.byReference)
}

func byReference(a, b Name) int { return cmp.Compare(a.Reference, b.Reference) }

func (k *Keeper) put(n Name) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(n.Reference)
	k.byReference[n.Reference] = n
	if k.byImage[n.ImageID] == nil {
		k.byImage[n.ImageID] = map[string]Name{}
	}
	k.byImage[n.ImageID][n.Reference] = n
}

func (k *Keeper) drop(n Name) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(n.Reference)
}

func (k *Keeper) remove(reference string) {
	image := k.byReference[reference].ImageID
	delete(k.byReference, reference)
	delete(k.byImage[image], reference)
	if len(k.byImage[image]) == 0 {
		delete(k.byImage, image)
	}
}
