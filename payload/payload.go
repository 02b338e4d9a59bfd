package payload

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/payload/cache"
	"craton.dev/craton/payload/image"
)

// Options say what Build makes and where. The zero value is all that a cluster needs, in
// the usual cache.
type Options struct {
	// Cache is the cache's folder: DefaultCache() where it is "".
	Cache string
	// Progress is called for each thing that happens, one call at a time.
	Progress func(Event)
	// Want names the components to build, with what they need: Default() where it is nil.
	Want []string
}

// State is what has happened to a component.
type State string

const (
	Started State = "started" // its build begins
	Built   State = "built"
	Cached  State = "cached" // it was there already
	Pushed  State = "pushed" // its image is in the registry's storage
)

// Event is one step of a Build.
type Event struct {
	Component string
	State     State
	Seconds   float64 // how long it took; 0 for Started and Cached
}

// Payload is where Build's results are. All of them are to be read only.
type Payload struct {
	// RootFS is the machines' root file system, NodeFS the layer above it with their
	// programs. NodeFS is "" where Want left out part of it.
	RootFS, NodeFS string
	// RegistryRoot is the storage folder of a registry that has every image built so far.
	RegistryRoot string
	bins         map[string]string
}

// HostBin is the path of a program such as "kubectl", or "" where it was not wanted.
func (p *Payload) HostBin(name string) string { return p.bins[name] }

// DefaultCache is CRATON_CACHE, or /var/cache/craton.
func DefaultCache() string {
	if dir := os.Getenv("CRATON_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/craton"
}

// atOnce is how many components are built at the same time. A Go build uses all cores
// until it links, which uses one: a second build fills that time.
const atOnce = 2

// build is one call of Build.
type build struct {
	store     cache.Store
	goVersion string
	own       map[string]own // of those that are this project's
	progress  func(Event)
	keys      map[string]string // of each component
	dirs      map[string]string // of each component, and of each layer below programs
	mu        sync.Mutex        // guards dirs and calls of progress
	layers    map[string]*image.Layer
}

// Build makes what is wanted and not in the cache yet. Where all is there it only looks.
// It may run in several processes at once: each thing is made once. An error names the
// component, the command and the end of its stderr; what was finished stays in the cache.
func Build(ctx context.Context, opt Options) (*Payload, error) {
	if opt.Cache == "" {
		opt.Cache = DefaultCache()
	}
	if opt.Want == nil {
		opt.Want = Default()
	}
	components, image, err := choose(opt.Want)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opt.Cache)
	if err != nil {
		return nil, err
	}
	b := &build{store: cache.Store{Dir: dir}, progress: opt.Progress, keys: map[string]string{}, own: map[string]own{}, dirs: map[string]string{}}
	if err := b.findKeys(ctx, components); err != nil {
		return nil, failure("what is wanted", dir, err)
	}
	missing, all := b.missingParts(components, image)
	if err := b.room(ctx, missing, all); err != nil {
		return nil, err
	}
	p := &Payload{RegistryRoot: filepath.Join(dir, "registry"), bins: map[string]string{}}

	work, wctx := errgroup.WithContext(ctx)
	if image {
		work.Go(func() (err error) {
			p.RootFS, err = b.rootFS(wctx)
			return err
		})
	}
	for _, folder := range bases(components) {
		work.Go(func() error {
			if err := b.base(wctx, folder); err != nil {
				return failure(folder, dir, err)
			}
			return nil
		})
	}
	b.components(wctx, work, components)
	if err := work.Wait(); err != nil {
		return nil, err
	}
	for _, c := range components {
		for _, bin := range c.Binaries {
			p.bins[bin.Name] = filepath.Join(b.dirs[c.Name], bin.Name)
		}
	}
	if p.NodeFS, err = b.nodeFS(ctx, components, p.bins); err != nil {
		return nil, failure("the machines' programs", dir, err)
	}
	if err := b.push(ctx, components, p); err != nil {
		return nil, failure("the images", dir, err)
	}
	return p, nil
}

// bases are the folders of the layers below the components' programs, each once.
func bases(components []Component) []string {
	var all []string
	for _, c := range components {
		all = append(all, c.Base...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// findKeys sets the components' keys.
func (b *build) findKeys(ctx context.Context, components []Component) (err error) {
	if len(components) == 0 {
		return nil
	}
	if b.goVersion, err = toolchain(ctx); err != nil {
		return err
	}
	for _, c := range components {
		if c.Module != module {
			if b.keys[c.Name], err = componentKey(c, b.goVersion); err != nil {
				return err
			}
			continue
		}
		if b.own[c.Name], err = findOwn(c); err != nil {
			return err
		}
		if b.keys[c.Name], err = b.own[c.Name].key(c.Name, b.goVersion); err != nil {
			return err
		}
	}
	return nil
}

// components starts the builds of what is missing. Those that share a source run one
// after another: at the same time they would compile the same packages twice.
func (b *build) components(ctx context.Context, work *errgroup.Group, components []Component) {
	var order []string
	bySource := map[string][]Component{}
	for _, c := range components {
		if bySource[c.Source] == nil {
			order = append(order, c.Source)
		}
		bySource[c.Source] = append(bySource[c.Source], c)
	}
	free := make(chan struct{}, atOnce)
	for _, source := range order {
		work.Go(func() error {
			free <- struct{}{}
			defer func() { <-free }()
			for _, c := range bySource[source] {
				if err := b.component(ctx, c); err != nil {
					return failure(c.Name, b.store.Dir, err)
				}
			}
			return nil
		})
	}
}

func (b *build) component(ctx context.Context, c Component) error {
	dir, err := b.entry(ctx, "bin", c.Name, b.keys[c.Name], func(dir, work string) error {
		if c.Module == module {
			return b.own[c.Name].build(ctx, c, dir, work)
		}
		return compile(ctx, c, dir, work)
	})
	b.mu.Lock()
	b.dirs[c.Name] = dir
	b.mu.Unlock()
	return err
}

func (b *build) rootFS(ctx context.Context) (string, error) {
	key, err := rootFSKey()
	if err != nil {
		return "", err
	}
	dir, err := b.entry(ctx, "rootfs", MachineImage, key, func(dir, work string) error { return makeRootFS(ctx, dir, work) })
	if err != nil {
		return "", failure(MachineImage, b.store.Dir, err)
	}
	return dir, nil
}

// nodeFS puts the machines' programs together, where all of them are wanted.
func (b *build) nodeFS(ctx context.Context, components []Component, bins map[string]string) (string, error) {
	var keys []any
	for _, c := range components {
		if c.NodeDir != "" {
			keys = append(keys, c.NodeDir, b.keys[c.Name])
		}
	}
	all := 0
	for _, c := range Components() {
		if c.NodeDir != "" {
			all++
		}
	}
	if len(keys) != 2*all {
		return "", nil
	}
	k, err := key(keys...)
	if err != nil {
		return "", err
	}
	dir, _, err := b.store.Entry(ctx, "node", "node", k, func(dir, _ string) error {
		return makeNodeFS(bins, components, dir)
	})
	return dir, err
}

// entry makes a cache entry and reports what happens.
func (b *build) entry(ctx context.Context, kind, name, key string, fill func(dir, work string) error) (string, error) {
	start := time.Now()
	dir, made, err := b.store.Entry(ctx, kind, name, key, func(dir, work string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.report(name, Started, 0)
		return fill(dir, work)
	})
	switch {
	case err != nil:
	case made:
		b.report(name, Built, time.Since(start).Seconds())
	default:
		b.report(name, Cached, 0)
	}
	return dir, err
}

func (b *build) report(component string, s State, seconds float64) {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.progress(Event{component, s, seconds})
}
