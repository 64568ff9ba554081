package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// assets holds embedded files under names that carry a digest of their content, so that they may be kept for ever.
type assets struct {
	hashed map[string]string // name -> name with digest
	data   map[string][]byte // by name with digest
}

func loadAssets() (*assets, error) {
	a := &assets{hashed: map[string]string{}, data: map[string][]byte{}}
	files, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return nil, fmt.Errorf("page: assets: %w", err)
	}
	for _, f := range files {
		data, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("page: asset %s: %w", f.Name(), err)
		}
		digest := sha256.Sum256(data)
		ext := path.Ext(f.Name())
		hashed := strings.TrimSuffix(f.Name(), ext) + "." + hex.EncodeToString(digest[:6]) + ext
		a.hashed[f.Name()] = hashed
		a.data[hashed] = data
	}
	return a, nil
}

// path is the address of an asset.
func (a *assets) path(name string) (string, error) {
	h, ok := a.hashed[name]
	if !ok {
		return "", fmt.Errorf("page: no asset %q", name)
	}
	return "/assets/" + h, nil
}
