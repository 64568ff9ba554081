package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aura/mlops/schema"
)

// Registry keeps models in a directory and their rows in a Repository, for one schema.
type Registry struct {
	repo   Repository
	dir    string
	schema *schema.Schema
	log    *slog.Logger

	mu sync.Mutex // one Register, Promote or Rollback at a time
}

// New returns the registry of dir, where model files go into models/. Models are bound to s; those that don't fit it are
// refused when loaded.
func New(repo Repository, dir string, s *schema.Schema, log *slog.Logger) *Registry {
	return &Registry{repo: repo, dir: dir, schema: s, log: log}
}

// Schema is the schema that models are bound to.
func (r *Registry) Schema() *schema.Schema { return r.schema }

// Note says who registers a model and why.
type Note struct {
	By   string
	Text string
}

// Register writes the model's file, here and in the repository, and then its row, and returns the new version.
func (r *Registry) Register(ctx context.Context, m *Model, note Note) (Version, error) {
	if err := m.Check(); err != nil {
		return Version{}, err
	}
	data, err := m.Encode()
	if err != nil {
		return Version{}, fmt.Errorf("registry: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.repo.SaveFile(ctx, m.Digest, data); err != nil {
		return Version{}, fmt.Errorf("registry: keep the file of model %.12s: %w", m.Digest, err)
	}
	for range maxAttempts {
		n, err := r.nextNumber(ctx)
		if err != nil {
			return Version{}, err
		}
		v := Version{
			Number: n, Digest: m.Digest, SchemaName: m.SchemaName, SchemaDigest: m.SchemaDigest, Metrics: m.Metrics,
			Window: m.Window, Seed: m.Seed, CreatedAt: time.Now().UTC().Truncate(time.Microsecond), CreatedBy: note.By, Note: note.Text,
			File: fileName(n, m.Digest),
		}
		if err := writeFile(r.dir, v.File, data); err != nil {
			return Version{}, err
		}
		created, err := r.repo.CreateVersion(ctx, v)
		if errors.Is(err, ErrTaken) {
			continue // another process was quicker; its number is seen now. The file we wrote is never read.
		}
		if err != nil {
			return Version{}, fmt.Errorf("registry: create version %d: %w", n, err)
		}
		return created, nil
	}
	return Version{}, fmt.Errorf("registry: %d version numbers in a row were taken by others: %w", maxAttempts, ErrTaken)
}

// maxAttempts bounds the race with other processes for the next number.
const maxAttempts = 50

func (r *Registry) nextNumber(ctx context.Context) (int, error) {
	last, err := r.repo.Versions(ctx, 1, 0)
	if err != nil {
		return 0, fmt.Errorf("registry: list versions: %w", err)
	}
	if len(last) == 0 {
		return 1, nil
	}
	return last[0].Number + 1, nil
}

// Load reads a version's file and returns its model, ready to score. A file that is missing here, or isn't the one that was
// registered, is replaced by the repository's, if that keeps files. It is Refused if there is no such version or no such
// file, or it doesn't fit the schema.
func (r *Registry) Load(ctx context.Context, version int) (*Model, error) {
	v, err := r.Version(ctx, version)
	if err != nil {
		return nil, err
	}
	data, err := readFile(r.dir, v.File)
	if err != nil || !intact(data, v.Digest) {
		kept, keptErr := r.fetch(ctx, v)
		switch {
		case keptErr == nil:
			data, err = kept, nil
		case !errors.Is(keptErr, ErrNotFound):
			return nil, keptErr
		}
	}
	if err != nil {
		return nil, err
	}
	m, err := DecodeModel(r.schema, data)
	if err != nil {
		return nil, fmt.Errorf("version %d: %w", version, err)
	}
	if m.Digest != v.Digest {
		return nil, &Refused{CodeBroken, fmt.Sprintf("the file %s holds model %.12s, version %d is %.12s; restore the file, or promote another version",
			v.File, m.Digest, version, v.Digest), nil}
	}
	return m, nil
}

// fetch returns a version's file as the repository keeps it, and writes it where the version says. That it can't be written is
// no reason not to use it. ErrNotFound where the repository keeps none.
func (r *Registry) fetch(ctx context.Context, v Version) ([]byte, error) {
	data, err := r.repo.File(ctx, v.Digest)
	if err != nil {
		return nil, fmt.Errorf("registry: fetch the file of version %d: %w", v.Number, err)
	}
	if !intact(data, v.Digest) {
		return nil, &Refused{CodeBroken, fmt.Sprintf("the file of version %d is not here, and the database's copy is not the one that was registered; restore the file %s, or promote another version",
			v.Number, v.File), nil}
	}
	if err := writeFile(r.dir, v.File, data); err != nil {
		r.log.Warn("a model file from the database could not be written here; it is fetched again when it is needed", "version", v.Number, "err", err)
		return data, nil
	}
	r.log.Info("model file fetched from the database", "version", v.Number, "file", v.File)
	return data, nil
}

// Share has the repository keep the files that lie here and that an earlier program gave to nobody. It returns how many.
func (r *Registry) Share(ctx context.Context) (n int, err error) {
	versions, err := r.repo.Unsaved(ctx)
	if err != nil {
		return 0, fmt.Errorf("registry: list versions without a file: %w", err)
	}
	for _, v := range versions {
		data, err := readFile(r.dir, v.File)
		if err != nil || !intact(data, v.Digest) {
			continue // it may lie in the directory of another process
		}
		if err := r.repo.SaveFile(ctx, v.Digest, data); err != nil {
			return n, fmt.Errorf("registry: keep the file of version %d: %w", v.Number, err)
		}
		n++
	}
	return n, nil
}

// Promote puts a version in charge: champion, while the champion until now becomes previous. The target is loaded and
// scores its probe first. Promoting the champion changes nothing. It returns the champion's generation.
func (r *Registry) Promote(ctx context.Context, version int, by, reason string) (generation int64, err error) {
	return r.moving(ctx, func(aliases map[string]int) (int64, error) {
		return r.promote(ctx, aliases, version, by, reason)
	})
}

// PromoteFirst is Promote where no version is in charge, and Refused where one is: of processes that start together one wins.
func (r *Registry) PromoteFirst(ctx context.Context, version int, by, reason string) (generation int64, err error) {
	return r.moving(ctx, func(aliases map[string]int) (int64, error) {
		if v := aliases[Champion]; v != 0 {
			return 0, &Refused{CodeHasChampion, fmt.Sprintf("version %d is champion already; promote version %d by name if it should be", v, version), nil}
		}
		return r.promote(ctx, aliases, version, by, reason)
	})
}

// moving calls change with the aliases as they are, again if another process moved them before it could.
func (r *Registry) moving(ctx context.Context, change func(aliases map[string]int) (int64, error)) (generation int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range maxAttempts {
		aliases, err := r.repo.Aliases(ctx)
		if err != nil {
			return 0, fmt.Errorf("registry: read aliases: %w", err)
		}
		if generation, err = change(aliases); !errors.Is(err, ErrMoved) {
			return generation, err
		}
	}
	return 0, fmt.Errorf("registry: others moved the aliases %d times: %w", maxAttempts, ErrMoved)
}

// Rollback puts the previous champion in charge again; the present one becomes previous, so that a rollback can be
// taken back. It is Refused where there is no previous, or one that Promote would refuse, and where somebody else moved the
// aliases meanwhile: a second rollback would undo the first. allowed, unless it is nil, may refuse the version too.
func (r *Registry) Rollback(ctx context.Context, by, reason string, allowed func(version int) error) (generation int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	aliases, err := r.repo.Aliases(ctx)
	if err != nil {
		return 0, fmt.Errorf("registry: read aliases: %w", err)
	}
	if aliases[Previous] == 0 {
		return 0, &Refused{CodeNoPrevious, "there is no previous champion to roll back to; promote a version instead", nil}
	}
	if allowed != nil {
		if err := allowed(aliases[Previous]); err != nil {
			return 0, err
		}
	}
	generation, err = r.promote(ctx, aliases, aliases[Previous], by, reason)
	if errors.Is(err, ErrMoved) {
		return 0, &Refused{CodeMoved, "somebody else changed the champion in this moment; look at it again", err}
	}
	return generation, err
}

func (r *Registry) promote(ctx context.Context, aliases map[string]int, version int, by, reason string) (int64, error) {
	if aliases[Champion] == version && version != 0 {
		_, generation, err := r.Champion(ctx)
		return generation, err
	}
	m, err := r.Load(ctx, version)
	if err != nil {
		return 0, err
	}
	if err := m.Check(); err != nil {
		return 0, fmt.Errorf("version %d: %w", version, err)
	}
	changes := map[string]int{Champion: version}
	if aliases[Champion] != 0 {
		changes[Previous] = aliases[Champion]
	}
	if aliases[Challenger] == version {
		changes[Challenger] = 0
	}
	generation, err := r.repo.SetAliases(ctx, changes, aliases, by, reason)
	if err != nil {
		return 0, fmt.Errorf("registry: promote version %d: %w", version, err)
	}
	return generation, nil
}

// Challenge names the version that contends with the champion. It is tested as by Promote.
func (r *Registry) Challenge(ctx context.Context, version int, by, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := r.Load(ctx, version)
	if err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return fmt.Errorf("version %d: %w", version, err)
	}
	if _, err := r.repo.SetAliases(ctx, map[string]int{Challenger: version}, nil, by, reason); err != nil {
		return fmt.Errorf("registry: set challenger to version %d: %w", version, err)
	}
	return nil
}

// historyDepth is how far back Champion looks for the champion's last change; challengers may have moved since.
const historyDepth = 1000

// Champion returns the version in charge and its generation. It is Refused where none is.
func (r *Registry) Champion(ctx context.Context) (v Version, generation int64, err error) {
	aliases, err := r.repo.Aliases(ctx)
	if err != nil {
		return Version{}, 0, fmt.Errorf("registry: read aliases: %w", err)
	}
	if aliases[Champion] == 0 {
		return Version{}, 0, &Refused{CodeNoChampion, "no version is champion yet; train one and promote it", nil}
	}
	if v, err = r.Version(ctx, aliases[Champion]); err != nil {
		return Version{}, 0, err
	}
	history, err := r.repo.AliasHistory(ctx, historyDepth)
	if err != nil {
		return Version{}, 0, fmt.Errorf("registry: read history: %w", err)
	}
	for _, h := range history {
		if h.Alias == Champion {
			return v, h.Generation, nil
		}
	}
	return Version{}, 0, fmt.Errorf("registry: the champion's change is not among the last %d of history", historyDepth)
}

// Version returns one version; Refused if there is none of this number.
func (r *Registry) Version(ctx context.Context, number int) (Version, error) {
	v, err := r.repo.Version(ctx, number)
	if errors.Is(err, ErrNotFound) {
		return Version{}, &Refused{CodeNotFound, fmt.Sprintf("there is no version %d; list them with aura model ls", number), err}
	}
	if err != nil {
		return Version{}, fmt.Errorf("registry: read version %d: %w", number, err)
	}
	return v, nil
}

// Versions lists versions, newest first, with numbers below before (0 = from the newest).
func (r *Registry) Versions(ctx context.Context, limit, before int) ([]Version, error) {
	return r.repo.Versions(ctx, limit, before)
}

// Aliases says which version each alias names.
func (r *Registry) Aliases(ctx context.Context) (map[string]int, error) { return r.repo.Aliases(ctx) }

// History lists the changes of aliases, newest first.
func (r *Registry) History(ctx context.Context, limit int) ([]AliasChange, error) {
	return r.repo.AliasHistory(ctx, limit)
}
