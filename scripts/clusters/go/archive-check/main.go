// Tells whether k3s can import an archive of images: with k3s' own opener (by the ending of the name) and its containerd's own
// reader of archives. Prints the references, one a line. What fails in k3s fails here, with status 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rancher/wharfie/pkg/tarfile"
)

func main() {
	partial := flag.Bool("partial", false, "allow blobs to be missing, as where containerd already holds them")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: wharfie-check [-partial] ARCHIVE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	status := 0
	for _, path := range flag.Args() {
		references, err := check(context.Background(), path, *partial)
		if err != nil {
			fmt.Fprintf(os.Stderr, "wharfie-check: %s: %v\n", path, err)
			status = 1
			continue
		}
		for _, name := range references {
			fmt.Println(name)
		}
	}
	os.Exit(status)
}

func check(ctx context.Context, path string, partial bool) ([]string, error) {
	// The opener takes endings in any case; the watcher of the images folder looks for those in small letters alone.
	ending := func(suffix string) bool { return strings.HasSuffix(filepath.Base(path), suffix) }
	if !slices.ContainsFunc(tarfile.SupportedExtensions, ending) {
		return nil, fmt.Errorf("k3s ignores files of this name; it takes %s", strings.Join(tarfile.SupportedExtensions, " "))
	}
	open, err := tarfile.GetOpener(path)
	if err != nil {
		return nil, err
	}
	stream, err := open()
	if err != nil {
		return nil, err
	}
	defer stream.Close()

	folder, err := os.MkdirTemp("", "wharfie-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	store, err := local.NewStore(folder)
	if err != nil {
		return nil, err
	}
	root, err := archive.ImportIndex(ctx, store, stream)
	if err != nil {
		return nil, err
	}
	index, err := readIndex(ctx, store, root)
	if err != nil {
		return nil, err
	}
	if len(index.Manifests) == 0 {
		return nil, errors.New("no image is in it")
	}
	var references []string
	for _, manifest := range index.Manifests {
		name, err := referenceOf(manifest)
		if err != nil {
			return nil, err
		}
		references = append(references, name)
		if partial {
			continue
		}
		if err := isComplete(ctx, store, manifest); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return references, nil
}

func readIndex(ctx context.Context, store content.Provider, root ocispec.Descriptor) (ocispec.Index, error) {
	var index ocispec.Index
	// ImportIndex gives no size for an index that the archive brought.
	root.Size = 0
	reader, err := store.ReaderAt(ctx, root)
	if err != nil {
		return index, err
	}
	defer reader.Close()
	bytes := make([]byte, reader.Size())
	if _, err := reader.ReadAt(bytes, 0); err != nil {
		return index, err
	}
	return index, json.Unmarshal(bytes, &index)
}

// An image without a tag breaks k3s' retagging of the whole file.
func referenceOf(manifest ocispec.Descriptor) (string, error) {
	name := manifest.Annotations[images.AnnotationImageName]
	if name == "" {
		name = manifest.Annotations[ocispec.AnnotationRefName]
	}
	if name == "" {
		return "", fmt.Errorf("the image %s has no name", manifest.Digest)
	}
	named, err := reference.ParseNamed(name)
	if err != nil {
		return "", fmt.Errorf("%s is no full reference: %w", name, err)
	}
	if _, tagged := named.(reference.Tagged); !tagged {
		return "", fmt.Errorf("%s has no tag", name)
	}
	return name, nil
}

func isComplete(ctx context.Context, store content.Store, manifest ocispec.Descriptor) error {
	walk := func(ctx context.Context, blob ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		info, err := store.Info(ctx, blob.Digest)
		if errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("the blob %s is missing", blob.Digest)
		}
		if err != nil {
			return nil, err
		}
		if info.Size != blob.Size {
			return nil, fmt.Errorf("the blob %s has %d bytes instead of %d", blob.Digest, info.Size, blob.Size)
		}
		return images.Children(ctx, store, blob)
	}
	return images.Walk(ctx, images.HandlerFunc(walk), manifest)
}
