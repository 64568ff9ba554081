package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

func (s *Server) registerModels(h huma.API) {
	models := s.options.Backend.Models
	type output struct{ Body api.Model }
	type switched struct{ Body api.Switch }
	register(s, h, huma.Operation{
		OperationID: "list-models", Method: http.MethodGet, Path: "/api/v1/models",
		Summary: "Model versions, newest first", Tags: []string{"models"},
	}, func(ctx context.Context, in *PageInput) (*listOutput[api.Model], error) {
		list, err := models.Models(ctx, in.Limit, in.Cursor)
		return newListOutput("/api/v1/models", in, list), err
	})
	register(s, h, huma.Operation{
		OperationID: "list-alias-history", Method: http.MethodGet, Path: "/api/v1/models/history",
		Summary: "Which version had which alias: who, when, why", Tags: []string{"models"},
	}, func(ctx context.Context, in *PageInput) (*listOutput[api.AliasChange], error) {
		list, err := models.History(ctx, in.Limit, in.Cursor)
		return newListOutput("/api/v1/models/history", in, list), err
	})
	register(s, h, huma.Operation{
		OperationID: "get-model-mirror", Method: http.MethodGet, Path: "/api/v1/models/mirror",
		Summary: "Whether MLflow has what the registry has", Tags: []string{"models"},
		Description: "404 where the registry is not mirrored.",
	}, func(context.Context, *struct{}) (*struct{ Body api.Mirror }, error) {
		m := models.Mirror()
		if m == nil {
			return nil, api.Refuse(api.NotFound, "the registry is not mirrored; set mlflow.url, or start with --mlflow")
		}
		return &struct{ Body api.Mirror }{*m}, nil
	})
	register(s, h, huma.Operation{
		OperationID: "get-model", Method: http.MethodGet, Path: "/api/v1/models/{version}",
		Summary: "A model version", Tags: []string{"models"},
	}, func(ctx context.Context, in *versionInput) (*output, error) {
		model, err := models.Model(ctx, in.Version)
		return &output{model}, err
	})
	file := func(id, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"models"},
			Description: "Its input X takes the schema's model inputs in order and in their own units, categories as their index, NaN for missing; " +
				"label, probability and vote come out. A version that was imported is given as it came.",
			Responses: map[string]*huma.Response{"200": {
				Description: "OK", Content: map[string]*huma.MediaType{onnxMedia: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
			}},
		}
	}
	register(s, h, file("get-model-onnx", "/api/v1/models/{version}/onnx", "A model version as ONNX"),
		func(ctx context.Context, in *versionInput) (*onnxOutput, error) {
			f, err := models.ONNX(ctx, in.Version)
			return newONNXOutput(f), err
		})
	register(s, h, file("get-champion-onnx", "/api/v1/models/champion/onnx", "The champion as ONNX"),
		func(ctx context.Context, _ *struct{}) (*onnxOutput, error) {
			f, err := models.ONNX(ctx, 0)
			return newONNXOutput(f), err
		})
	type imported struct{ Body api.Imported }
	register(s, h, huma.Operation{
		OperationID: "import-model", Method: http.MethodPost, Path: importPath,
		Summary: "Register a tree ensemble that was trained elsewhere, and judge it", Tags: []string{"models"},
		Description: "A binary classifier, or a regressor of the probability, that skl2onnx or onnxmltools wrote. The gate compares it with the champion on stored outcomes; " +
			"if it is better it becomes the challenger, never the champion.",
		Metadata: map[string]any{"slow": true}, MaxBodyBytes: maxImport,
	}, func(ctx context.Context, in *importInput) (*imported, error) {
		by := byPrincipal(ctx, api.Change{By: cmp.Or(in.By, api.Local().Name)}).By
		result, err := models.Import(ctx, api.ModelImport{Name: in.Name, Content: in.RawBody, Columns: in.Columns, Bad: in.Bad, Note: in.Note, By: by})
		return &imported{result}, err
	})
	register(s, h, huma.Operation{
		OperationID: "promote-model", Method: http.MethodPost, Path: "/api/v1/models/{version}/promote",
		Summary: "Make a version the champion", Tags: []string{"models"},
		Description: "The target is loaded and scores before anything switches; a broken one is refused. Answers once the live model agents have it.",
		Metadata:    map[string]any{"slow": true},
	}, func(ctx context.Context, in *struct {
		Version int `path:"version" minimum:"1"`
		Body    reasonBody
	},
	) (*switched, error) {
		result, err := models.Promote(ctx, in.Version, byPrincipal(ctx, in.Body.change()))
		return &switched{result}, err
	})
	register(s, h, huma.Operation{
		OperationID: "rollback-model", Method: http.MethodPost, Path: "/api/v1/models/rollback",
		Summary: "Make the previous champion the champion again", Tags: []string{"models"},
		Description: "409 where healing's own rollback was what took that version out of charge: promote it by number if it is meant.",
		Metadata:    map[string]any{"slow": true},
	}, func(ctx context.Context, in *struct{ Body reasonBody }) (*switched, error) {
		result, err := models.Rollback(ctx, byPrincipal(ctx, in.Body.change()))
		return &switched{result}, err
	})
}

type versionInput struct {
	Version int `path:"version" minimum:"1" maximum:"2147483647"`
}

const (
	onnxMedia  = "application/octet-stream"
	importPath = "/api/v1/models/import"
	maxImport  = 64 << 20 // bytes of a model
)

type importInput struct {
	Name    string   `query:"name" maxLength:"200" default:"model.onnx" doc:"Of the file, for the record."`
	Columns []string `query:"columns" maxItems:"4096" doc:"The file's inputs in its order, by the schema's names; the schema's model inputs if absent."`
	Bad     string   `query:"bad" maxLength:"200" doc:"The class that means default; the schema's if absent."`
	Note    string   `query:"note" maxLength:"500" doc:"Kept with the version."`
	By      string   `query:"by" maxLength:"100" doc:"Who, where no principals are set up."`
	RawBody []byte   `contentType:"application/octet-stream"`
}

type onnxOutput struct {
	Type        string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Version     int    `header:"Aura-Model-Version"`
	Digest      string `header:"Aura-Model-Digest" doc:"SHA-256 of the version in the registry."`
	Body        []byte
}

func newONNXOutput(f api.ModelFile) *onnxOutput {
	return &onnxOutput{
		Type: onnxMedia, Disposition: fmt.Sprintf("attachment; filename=aura-v%d.onnx", f.Version),
		Version: f.Version, Digest: f.Digest, Body: f.Content,
	}
}
