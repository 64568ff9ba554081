package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"aura/mlops/ensemble"
	"aura/mlops/explain"
	"aura/mlops/onnx"
	"aura/mlops/schema"
)

// The file of an imported model holds the file it was read from, as it came, and how it is to be read:
//
//	magic "AURAONNX" | version uint32 | size of the header uint32, little endian | header (JSON) | ONNX | SHA-256 of all that precedes
const (
	importedMagic   = "AURAONNX"
	importedVersion = 1
	importedPrefix  = len(importedMagic) + 8
	maxHeader       = 8 << 20
)

// imported is a model that was trained elsewhere.
type imported struct {
	importedHeader
	ensemble *ensemble.Ensemble
	source   []byte // the ONNX file
	file     []byte
}

type importedHeader struct {
	Info    Info         `json:"info"`
	Options onnx.Options `json:"options"`
	Probe   []probeRow   `json:"probe"`
}

// ImportModel makes a model of an ONNX file. info's schema fields are filled in; the rest is the caller's. It is Refused, with the
// field and the remedy, if the file holds what can't be scored here.
func ImportModel(s *schema.Schema, source []byte, o onnx.Options, info Info) (*Model, error) {
	e, err := onnx.Import(s, source, o)
	if err != nil {
		return nil, notImported(err)
	}
	info.describe(s)
	head := importedHeader{Info: info, Options: o, Probe: newProbe(s, e.Raw)}
	raw, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("registry: describe model: %w", err)
	}
	file := make([]byte, 0, importedPrefix+len(raw)+len(source)+sha256.Size)
	file = append(file, importedMagic...)
	file = binary.LittleEndian.AppendUint32(file, importedVersion)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(raw)))
	file = append(append(file, raw...), source...)
	sum := sha256.Sum256(file)
	return bindImported(s, head, e, append(file, sum[:]...)), nil
}

func notImported(err error) error {
	var refused *onnx.Refused
	if errors.As(err, &refused) {
		return &Refused{CodeNotImported, fmt.Sprintf("the ONNX file can't be used: %s: %s; %s", refused.Field, refused.Problem, refused.Remedy), err}
	}
	return err
}

func bindImported(s *schema.Schema, head importedHeader, e *ensemble.Ensemble, file []byte) *Model {
	at := importedPrefix + int(binary.LittleEndian.Uint32(file[len(importedMagic)+4:]))
	end := len(file) - sha256.Size
	return &Model{
		Info: head.Info, Digest: hex.EncodeToString(file[end:]), explain: explain.NewImported(e), schema: s,
		imported: &imported{importedHeader: head, ensemble: e, source: file[at:end:end], file: file},
	}
}

// decodeImported reads the file of an imported model. It trusts nothing.
func decodeImported(s *schema.Schema, file []byte) (*Model, error) {
	broken := func(form string, args ...any) (*Model, error) {
		return nil, &Refused{CodeBroken, "the model file is broken: " + fmt.Sprintf(form, args...) + "; restore it, or import the model again", nil}
	}
	if len(file) < importedPrefix+sha256.Size {
		return broken("%d bytes are too few", len(file))
	}
	if v := binary.LittleEndian.Uint32(file[len(importedMagic):]); v != importedVersion {
		return broken("format %d, this program reads %d", v, importedVersion)
	}
	end := len(file) - sha256.Size
	if sum := sha256.Sum256(file[:end]); !bytes.Equal(sum[:], file[end:]) {
		return broken("its checksum doesn't match")
	}
	size := int(binary.LittleEndian.Uint32(file[len(importedMagic)+4:]))
	if size > maxHeader || size > end-importedPrefix {
		return broken("a header of %d bytes", size)
	}
	var head importedHeader
	d := json.NewDecoder(bytes.NewReader(file[importedPrefix : importedPrefix+size]))
	d.DisallowUnknownFields()
	if err := d.Decode(&head); err != nil {
		return broken("header: %v", err)
	}
	if err := head.Info.fits(s); err != nil {
		return nil, err
	}
	e, err := onnx.Import(s, file[importedPrefix+size:end], head.Options)
	if err != nil {
		return nil, notImported(err)
	}
	return bindImported(s, head, e, bytes.Clone(file)), nil
}
