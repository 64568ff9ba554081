package mlflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"aura/mlops/registry"
)

// Registry is what a mirror reads of the registry that it mirrors.
type Registry interface {
	Versions(ctx context.Context, limit, before int) ([]registry.Version, error)
	Aliases(ctx context.Context) (map[string]int, error)
	Load(ctx context.Context, version int) (*registry.Model, error)
}

// Options of a mirror.
type Options struct {
	Client   *Client
	Registry Registry
	// Model is the name of the registered model, Experiment that of the experiment of its runs.
	Model, Experiment string
	// Export gives a model's ONNX form, nil for none; an error says why it has none, and the version is written without.
	Export func(*registry.Model) ([]byte, error)
	// Promote puts a version in charge that somebody made the champion in MLflow. A *registry.Refused is final: the alias is
	// set back. It is called from Sync.
	Promote func(ctx context.Context, version int, reason string) error
	Now     func() time.Time
	Log     *slog.Logger
}

// Status is what a mirror knows of itself.
type Status struct {
	// At is when the last Sync ended, Good when the last one without a problem did.
	At, Good time.Time
	// Problem is what the last Sync met, empty for nothing.
	Problem string
	// Versions are on the server, Missing are not yet.
	Versions, Missing int
}

// Mirror writes a registry's versions and aliases to a server and reads back what people do there.
type Mirror struct {
	o Options

	mu     sync.Mutex
	status Status
}

// NewMirror makes a mirror; it does nothing before Sync.
func NewMirror(o Options) *Mirror {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", "mlflow")
	return &Mirror{o: o}
}

// Status may be called while Sync runs.
func (m *Mirror) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// Sync writes what is missing, oldest version first, and makes the aliases agree. An error leaves the rest to the next Sync.
func (m *Mirror) Sync(ctx context.Context) error {
	s, err := m.sync(ctx)
	s.At = m.o.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Good = m.status.Good
	if err != nil {
		s.Problem = err.Error()
	}
	if s.Problem == "" {
		s.Good = s.At
	}
	m.status = s
	return err
}

func (m *Mirror) sync(ctx context.Context) (Status, error) {
	local, err := m.local(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Missing: len(local)}
	c := m.o.Client
	have, err := c.model(ctx, m.o.Model)
	if err != nil {
		return s, err
	}
	list, err := c.versions(ctx, m.o.Model)
	if err != nil {
		return s, err
	}
	names := map[int]string{}
	for _, r := range list {
		if _, twice := names[r.Number]; r.Number > 0 && !twice {
			names[r.Number] = r.Name
		}
	}
	s.Missing = 0
	for _, v := range local {
		if names[v.Number] == "" {
			s.Missing++
		} else {
			s.Versions++
			if err := sameModel(v, list); err != nil {
				return s, err
			}
		}
	}
	for _, v := range local {
		if names[v.Number] != "" {
			continue
		}
		name, err := m.publish(ctx, v)
		if err != nil {
			return s, fmt.Errorf("version %d: %w", v.Number, err)
		}
		if name != "" {
			names[v.Number] = name
			s.Versions, s.Missing = s.Versions+1, s.Missing-1
		}
	}
	s.Problem, err = m.aliases(ctx, have, names)
	return s, err
}

// sameModel refuses a registered model that mirrors another registry: its numbers would mean other models.
func sameModel(v registry.Version, list []remote) error {
	for _, r := range list {
		if r.Number == v.Number && r.Digest != "" && r.Digest != v.Digest {
			return fmt.Errorf("mlflow: version %s there is version %d of another registry (model %.12s, ours is %.12s); name another registered model (mlflow.model)",
				r.Name, v.Number, r.Digest, v.Digest)
		}
	}
	return nil
}

// maxVersions bounds the versions that are mirrored: the newest.
const maxVersions = 1000

// local are the versions of the registry, oldest first.
func (m *Mirror) local(ctx context.Context) ([]registry.Version, error) {
	list, err := m.o.Registry.Versions(ctx, maxVersions, 0)
	if err != nil {
		return nil, fmt.Errorf("mlflow: %w", err)
	}
	out := make([]registry.Version, 0, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, list[i])
	}
	return out, nil
}

func (m *Mirror) publish(ctx context.Context, v registry.Version) (string, error) {
	model, err := m.o.Registry.Load(ctx, v.Number)
	var refused *registry.Refused
	if errors.As(err, &refused) {
		// It can't be loaded here either, and never will be; the others shall not wait for it.
		m.o.Log.Warn("a version can't be mirrored", "version", v.Number, "code", refused.Code, "err", err)
		return "", nil
	}
	if err != nil {
		return "", err
	}
	content := Content{Model: model}
	if content.File, err = model.Encode(); err != nil {
		return "", err
	}
	if m.o.Export != nil {
		if content.ONNX, err = m.o.Export(model); err != nil {
			content.ONNX, content.ONNXNote = nil, err.Error()
			m.o.Log.Warn("a version is mirrored without ONNX", "version", v.Number, "err", err)
		}
	}
	experiment, err := m.o.Client.experiment(ctx, m.o.Experiment)
	if err != nil {
		return "", err
	}
	name, err := m.o.Client.publish(ctx, m.o.Model, experiment, v, content, m.o.Now())
	if err == nil {
		m.o.Log.Info("a version is mirrored", "version", v.Number, "mlflow_version", name)
	}
	return name, err
}

// aliases makes the server's aliases those of the registry. The champion is compared in three ways, with the one that was last
// the same on both sides: who moved away from that one is followed, and where both did, the registry's. It returns what a
// person must know.
func (m *Mirror) aliases(ctx context.Context, have registered, names map[int]string) (problem string, err error) {
	ours, err := m.o.Registry.Aliases(ctx)
	if err != nil {
		return "", fmt.Errorf("mlflow: %w", err)
	}
	numbers := map[string]int{}
	for number, name := range names {
		numbers[name] = number
	}
	synced, _ := strconv.Atoi(have.Tags[tagSynced])
	theirs := have.Aliases[registry.Champion]
	if n := numbers[theirs]; synced != 0 && ours[registry.Champion] == synced && theirs != "" && n != synced {
		if n == 0 {
			return fmt.Sprintf("the alias champion in MLflow names version %s, which is none of this registry's; import it (aura model import), or move the alias back", theirs), nil
		}
		reason := fmt.Sprintf("the alias champion was moved to version %s of %s in MLflow", theirs, m.o.Model)
		err := m.o.Promote(ctx, n, reason)
		var refused *registry.Refused
		switch {
		case errors.As(err, &refused):
			m.o.Log.Warn("a promotion made in MLflow is refused, and the alias set back", "version", n, "code", refused.Code, "err", err)
			problem = "a promotion to version " + strconv.Itoa(n) + " made in MLflow was refused: " + refused.Message
		case err != nil:
			return "", fmt.Errorf("mlflow: promote version %d as it was in MLflow: %w", n, err)
		}
		if ours, err = m.o.Registry.Aliases(ctx); err != nil {
			return "", fmt.Errorf("mlflow: %w", err)
		}
	}
	return problem, m.write(ctx, ours, have, names)
}

// write moves the server's aliases to where ours are. The mark of what was synced follows the champion.
func (m *Mirror) write(ctx context.Context, ours map[string]int, have registered, names map[int]string) error {
	c, model := m.o.Client, m.o.Model
	for _, alias := range []string{registry.Champion, registry.Challenger, registry.Previous} {
		want := names[ours[alias]]
		switch {
		case want == have.Aliases[alias]:
		case want == "":
			if err := c.deleteAlias(ctx, model, alias); err != nil {
				return err
			}
		default:
			if err := c.setAlias(ctx, model, alias, want); err != nil {
				return err
			}
			m.o.Log.Info("an alias is moved in MLflow", "alias", alias, "version", ours[alias])
		}
	}
	if mark := strconv.Itoa(ours[registry.Champion]); have.Tags[tagSynced] != mark {
		return c.setModelTag(ctx, model, tagSynced, mark)
	}
	return nil
}

// Address is where people find the registered model in the server's UI.
func (m *Mirror) Address() string {
	return m.o.Client.base + "/#/models/" + strings.ReplaceAll(m.o.Model, " ", "%20")
}
