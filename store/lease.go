package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// The leases that epochs belong to.
const (
	LeaseMonitoring = "monitoring"
	LeaseHealing    = "healing"
	LeaseGovernance = "governance"
)

// Lease is the right of one holder at a time to do something. Its epoch fences whoever had it before.
type Lease struct {
	Name        string
	Holder      string
	Incarnation int64
	Epoch       int64
	ExpiresAt   time.Time
	// Held says that the holder lives in this process and the lease has not expired, Free that anybody may take it now.
	Held, Free bool
}

type storedLease struct {
	Name        string `gorm:"primaryKey"`
	Holder      string
	Incarnation int64
	Process     string
	Epoch       int64
	TakenAt     int64
	ExpiresAt   int64
}

func (storedLease) TableName() string { return "leases" }

func (s *Store) lease(r *storedLease, now time.Time) Lease {
	lasts := r.ExpiresAt > micros(now)
	return Lease{
		Name: r.Name, Holder: r.Holder, Incarnation: r.Incarnation, Epoch: r.Epoch, ExpiresAt: fromMicros(r.ExpiresAt),
		Held: r.Process == s.process && lasts, Free: !lasts || !s.mayLive(r),
	}
}

// mayLive reports whether the process that took a lease may be running: another one's end is proved by the directory's
// lock, and by nothing on a server.
func (s *Store) mayLive(r *storedLease) bool { return r.Process == s.process || !s.dialect.alone() }

// AcquireLease gives the lease to a holder (an agent instance) in its n-th incarnation, with the next epoch, if nobody
// has it: it is new, was released or has expired, by the database's clock; or it was an earlier incarnation of the same
// holder; or, in a directory, its holder lived in another process, which the directory's lock proves dead. Who has it
// already, in this process, keeps its epoch and gets the new ttl. *Refused lease_held otherwise.
func (s *Store) AcquireLease(ctx context.Context, name, holder string, incarnation int64, ttl time.Duration) (Lease, error) {
	if name == "" || holder == "" || ttl <= 0 {
		return Lease{}, refuse(CodeInvalid, "a lease needs a name, a holder and a time to live")
	}
	return write(ctx, s, func(t *tx) (Lease, error) {
		now, err := t.clock()
		if err != nil {
			return Lease{}, err
		}
		row, err := t.leaseRow(name)
		if err != nil {
			return Lease{}, err
		}
		same := row.Holder == holder && row.Incarnation == incarnation
		switch {
		case s.mayLive(&row) && row.Holder == holder && row.Incarnation > incarnation:
			return Lease{}, refuse(CodeLeaseHeld, "%s is fenced: incarnation %d of it had the lease %s", holder, row.Incarnation, name)
		case row.Process == s.process && same && row.ExpiresAt > 0:
			row.ExpiresAt = micros(now.Add(ttl))
			return s.lease(&row, now), t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
		case !s.lease(&row, now).Free && (row.Holder != holder || same):
			return Lease{}, refuse(CodeLeaseHeld, "%s holds the lease %s", row.Holder, name)
		}
		row = storedLease{name, holder, incarnation, s.process, row.Epoch + 1, micros(now), micros(now.Add(ttl))}
		if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
			return Lease{}, err
		}
		out := s.lease(&row, now)
		return out, t.record(now, holder, "lease.taken", name, map[string]any{"epoch": row.Epoch, "incarnation": incarnation})
	})
}

// leaseRow reads the row, or an empty one.
func (t *tx) leaseRow(name string) (storedLease, error) {
	rows := []storedLease{}
	err := t.db.Where("name = ?", name).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return storedLease{Name: name}, err
	}
	return rows[0], nil
}

// RenewLease gives the holder of l's epoch more time, also if it had expired and nobody took it. *Refused stale_epoch if
// somebody did.
func (s *Store) RenewLease(ctx context.Context, l Lease, ttl time.Duration) (Lease, error) {
	return write(ctx, s, func(t *tx) (Lease, error) {
		if err := t.holds(l.Name, l.Epoch); err != nil {
			return Lease{}, err
		}
		now, err := t.clock()
		if err != nil {
			return Lease{}, err
		}
		l.ExpiresAt, l.Held, l.Free = fromMicros(micros(now.Add(ttl))), ttl > 0, ttl <= 0
		return l, t.w.exec("UPDATE leases SET expires_at = ? WHERE name = ?", micros(l.ExpiresAt), l.Name)
	})
}

// ReleaseLease gives l back. If somebody else has it by now, nothing happens.
func (s *Store) ReleaseLease(ctx context.Context, l Lease) error {
	return s.w.do(ctx, func(t *tx) error {
		return t.w.exec("UPDATE leases SET expires_at = 0 WHERE name = ? AND epoch = ? AND process = ?", l.Name, l.Epoch, s.process)
	})
}

// LeaseOf returns the lease as it is; one that nobody ever had has epoch 0.
func (s *Store) LeaseOf(ctx context.Context, name string) (Lease, error) {
	var rows []storedLease
	if err := s.read(ctx).Where("name = ?", name).Limit(1).Find(&rows).Error; err != nil {
		return Lease{}, readErr("read a lease", err)
	}
	if len(rows) == 0 {
		return Lease{Name: name, Free: true}, nil
	}
	now, err := s.clock(ctx)
	if err != nil {
		return Lease{}, err
	}
	return s.lease(&rows[0], now), nil
}

// clock is the database's, or this machine's where the database is a file of it.
func (s *Store) clock(ctx context.Context) (time.Time, error) {
	if s.dialect.alone() {
		return time.Now(), nil
	}
	var us int64
	if err := s.read(ctx).Raw(sqlClock).Scan(&us).Error; err != nil {
		return time.Time{}, readErr("read the clock", err)
	}
	return fromMicros(us), nil
}

// holds refuses unless epoch is the lease's present one and was taken in this process. Expiry alone doesn't matter: as
// long as nobody took the lease there is nobody to protect.
func (t *tx) holds(name string, epoch int64) error {
	row, err := t.leaseRow(name)
	if err != nil {
		return err
	}
	if row.Epoch != epoch || epoch == 0 || row.Process != t.w.process {
		return refuse(CodeStaleEpoch, "epoch %d of the lease %s is over; it is at %d", epoch, name, row.Epoch)
	}
	return nil
}

type storedCheckpoint struct {
	Name  string `gorm:"primaryKey"`
	Epoch int64
	State []byte
	At    int64
}

func (storedCheckpoint) TableName() string { return "checkpoints" }

// SaveCheckpoint keeps the state of the holder of the lease name. *Refused stale_epoch.
func (s *Store) SaveCheckpoint(ctx context.Context, name string, epoch int64, state []byte) error {
	row := storedCheckpoint{name, epoch, append([]byte{}, state...), 0}
	return s.w.do(ctx, func(t *tx) error {
		if err := t.holds(name, epoch); err != nil {
			return err
		}
		row.At = micros(time.Now())
		return t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
	})
}

// LoadCheckpoint returns the last state saved under the name, and when; ErrNotFound.
func (s *Store) LoadCheckpoint(ctx context.Context, name string) (state []byte, at time.Time, err error) {
	var row storedCheckpoint
	if err := s.read(ctx).Where("name = ?", name).Take(&row).Error; err != nil {
		return nil, time.Time{}, readErr("read a checkpoint", err)
	}
	return row.State, fromMicros(row.At), nil
}
