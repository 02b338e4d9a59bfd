package payload

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"craton.dev/craton/payload/cache"
	"craton.dev/craton/payload/image"
)

// push puts the images of the components into the registry's storage, where it has not
// got them. The registry program does the writing: its storage's format stays its own.
func (b *build) push(ctx context.Context, components []Component, p *Payload) error {
	missing := b.missing(components, p)
	if len(missing) == 0 {
		return nil
	}
	unlock, err := b.store.Lock(ctx, "registry")
	if err != nil {
		return err
	}
	defer unlock()
	missing = b.missing(components, p) // another process may have been faster
	if len(missing) == 0 {
		return nil
	}
	work, err := b.store.Temp("registry")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	registry, err := image.Serve(ctx, p.HostBin("registry"), p.RegistryRoot, work)
	if err != nil {
		return failure("registry", b.store.Dir, err)
	}
	defer registry.Close()
	for _, c := range missing {
		start := time.Now()
		if err := b.pushOne(ctx, c, p, registry, work); err != nil {
			return failure(c.Name+"'s image", b.store.Dir, err)
		}
		b.report(c.Name, Pushed, time.Since(start).Seconds())
	}
	return nil
}

// protocolNames go beside nft: without them it prints numbers, and a kube-proxy that is
// started anew does not find its own rules in what nft lists, and deletes them.
const protocolNames = "etc/protocols"

func (b *build) pushOne(ctx context.Context, c Component, p *Payload, registry *image.Registry, work string) error {
	var layers []*image.Layer
	if c.Nft {
		files, err := image.Closure(p.RootFS, "usr/sbin/nft")
		if err != nil {
			return err
		}
		files = append(files, image.File{Path: protocolNames, From: filepath.Join(p.RootFS, protocolNames), Mode: 0o644})
		l, err := image.WriteLayer(filepath.Join(work, "nft.tar"), files)
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	for _, folder := range c.Base {
		l, err := b.baseLayer(folder, work)
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	l, err := image.WriteLayer(filepath.Join(work, c.Name+".tar"), programs(c, p))
	if err != nil {
		return err
	}
	defer l.Remove()
	run := c.Run
	if run.IsZero() {
		run.Entrypoint = []string{"/usr/local/bin/" + c.Binaries[0].Name}
	}
	img, err := image.New(run, append(layers, l)...)
	if err != nil {
		return err
	}
	for _, name := range c.Names {
		other, err := image.Named(img, name)
		if err != nil {
			return err
		}
		if err := registry.Push(ctx, name, other); err != nil {
			return err
		}
	}
	if err := registry.Push(ctx, c.Image, img); err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	k, err := b.imageKey(c, p)
	if err != nil {
		return err
	}
	note := filepath.Join(b.store.Dir, "pushed", c.Name)
	if err := os.MkdirAll(filepath.Dir(note), 0o755); err != nil {
		return err
	}
	return os.WriteFile(note, []byte(k+" "+digest.String()+"\n"), 0o644)
}

// programs are the files of the image's uppermost layer.
func programs(c Component, p *Payload) []image.File {
	files := []image.File{{Path: "tmp/", Mode: 0o1777}, {Path: "etc/"}, {Path: "run/"}, {Path: "var/"}}
	all := c.Binaries
	for _, other := range Components() {
		if slices.Contains(c.With, other.Name) {
			all = append(all, other.Binaries...)
		}
	}
	for _, bin := range all {
		f := image.File{Path: "usr/local/bin/" + bin.Name, From: p.bins[bin.Name]}
		if bin.Setuid {
			f.Mode = 0o4755
		}
		files = append(files, f)
	}
	return files
}

// baseLayer is the layer of a folder of source/, in a file of work. It is written once.
func (b *build) baseLayer(folder, work string) (*image.Layer, error) {
	if l := b.layers[folder]; l != nil {
		return l, nil
	}
	files, err := image.Tree(b.dirs[folder])
	if err != nil {
		return nil, err
	}
	l, err := image.WriteLayer(filepath.Join(work, folder+".base.tar"), files)
	if err != nil {
		return nil, err
	}
	if b.layers == nil {
		b.layers = map[string]*image.Layer{}
	}
	b.layers[folder] = l
	return l, nil
}

// missing are the components whose image, as it would be made now, is not stored.
func (b *build) missing(components []Component, p *Payload) []Component {
	var missing []Component
	for _, c := range components {
		if c.Image == "" {
			continue
		}
		k, err := b.imageKey(c, p)
		if err == nil && stored(b.store, c, p.RegistryRoot) == k {
			continue
		}
		missing = append(missing, c)
	}
	return missing
}

// stored is the key of the image that the registry's storage has under the component's
// name, or "" where it has none or another one than the note tells of.
func stored(s cache.Store, c Component, root string) string {
	data, err := os.ReadFile(filepath.Join(s.Dir, "pushed", c.Name))
	if err != nil {
		return ""
	}
	k, digest, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	if digest == "" || image.Stored(root, c.Image) != digest {
		return ""
	}
	return k
}

func (b *build) imageKey(c Component, p *Payload) (string, error) {
	nft := ""
	if c.Nft {
		nft = filepath.Base(p.RootFS) + " " + protocolNames
	}
	parts := []any{c.Image, b.keys[c.Name], nft}
	for _, name := range c.With {
		parts = append(parts, b.keys[name])
	}
	for _, folder := range c.Base {
		parts = append(parts, filepath.Base(b.dirs[folder]))
	}
	if len(c.Names) > 0 || !c.Run.IsZero() {
		parts = append(parts, c.Names, c.Run)
	}
	return key(parts...)
}
