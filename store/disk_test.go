package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// faultyDisk is a SQLite file layer over the system's own that knows, for each file, what a power cut would leave: what
// was written before the last sync that returned. The rest may be there or not, in any order.
type faultyDisk struct {
	name string

	mu    sync.Mutex
	files map[string]*fileImage
	full  bool          // writes fail with SQLITE_FULL
	deny  bool          // syncs fail with SQLITE_IOERR_FSYNC and make nothing durable
	gate  chan struct{} // not nil: syncs of the log wait until it is closed
	held  chan struct{} // gets a token when a sync waits at the gate
	syncs int           // of the log
}

// fileImage is the content that is durable and the changes since.
type fileImage struct {
	durable []byte
	pending []change
	base    int // changes that became durable before pending[0]
}

// change is a write, or a truncation to off where data is nil.
type change struct {
	off  int64
	data []byte
}

func (c change) apply(to []byte) []byte {
	end := int(c.off) + len(c.data)
	if c.data == nil {
		end = int(c.off)
		if end < len(to) {
			return to[:end]
		}
	}
	if end > len(to) {
		to = append(to, make([]byte, end-len(to))...)
	}
	copy(to[c.off:end], c.data)
	return to
}

// The C side calls plain functions, so what they work on is found here.
var disks struct {
	sync.Mutex
	byVFS map[uintptr]*faultyDisk
	files map[uintptr]*openFile // by sqlite3_file
	base  *sqlite3.Tsqlite3_vfs
}

type openFile struct {
	disk    *faultyDisk
	image   *fileImage
	log     bool
	methods *sqlite3.Tsqlite3_io_methods // the system's
	ours    uintptr
}

// newFaultyDisk registers a file layer for one test.
func newFaultyDisk(t testing.TB) *faultyDisk {
	t.Helper()
	tls := libc.NewTLS()
	t.Cleanup(tls.Close)
	d := &faultyDisk{
		name:  "faulty-" + strings.ReplaceAll(t.Name(), "/", "-"),
		files: map[string]*fileImage{}, held: make(chan struct{}, 1),
	}
	disks.Lock()
	defer disks.Unlock()
	if disks.byVFS == nil {
		disks.byVFS, disks.files = map[uintptr]*faultyDisk{}, map[uintptr]*openFile{}
		disks.base = (*sqlite3.Tsqlite3_vfs)(at(sqlite3.Xsqlite3_vfs_find(tls, 0)))
	}
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*disks.base)))
	vfs := (*sqlite3.Tsqlite3_vfs)(at(p))
	*vfs = *disks.base
	name, err := libc.CString(d.name)
	must(t, err)
	open, del := diskOpen, diskDelete
	vfs.FpNext, vfs.FzName = 0, name
	vfs.FxOpen, vfs.FxDelete = *(*uintptr)(unsafe.Pointer(&open)), *(*uintptr)(unsafe.Pointer(&del))
	disks.byVFS[p] = d
	if rc := sqlite3.Xsqlite3_vfs_register(tls, p, 0); rc != sqlite3.SQLITE_OK {
		t.Fatalf("register: %d", rc)
	}
	t.Cleanup(func() {
		sqlite3.Xsqlite3_vfs_unregister(tls, p)
		disks.Lock()
		delete(disks.byVFS, p)
		disks.Unlock()
		libc.Xfree(tls, name)
		libc.Xfree(tls, p)
	})
	return d
}

// at makes a pointer of an address in C memory.
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// fn makes a Go function of a C function's address.
func fn[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p})) }

type (
	openFn  = func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	delFn   = func(*libc.TLS, uintptr, uintptr, int32) int32
	closeFn = func(*libc.TLS, uintptr) int32
	writeFn = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
	truncFn = func(*libc.TLS, uintptr, int64) int32
	syncFn  = func(*libc.TLS, uintptr, int32) int32
)

func diskOpen(tls *libc.TLS, vfs, zName, file uintptr, flags int32, out uintptr) int32 {
	rc := fn[openFn](disks.base.FxOpen)(tls, vfs, zName, file, flags, out)
	if rc != sqlite3.SQLITE_OK || zName == 0 || flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_WAL) == 0 {
		return rc
	}
	methods := (*uintptr)(at(file)) // sqlite3_file begins with them
	f := &openFile{log: flags&sqlite3.SQLITE_OPEN_WAL != 0, methods: (*sqlite3.Tsqlite3_io_methods)(at(*methods))}
	f.ours = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*f.methods)))
	ours := (*sqlite3.Tsqlite3_io_methods)(at(f.ours))
	*ours = *f.methods
	cl, wr, tr, sy := diskClose, diskWrite, diskTruncate, diskSync
	ours.FxClose, ours.FxWrite = *(*uintptr)(unsafe.Pointer(&cl)), *(*uintptr)(unsafe.Pointer(&wr))
	ours.FxTruncate, ours.FxSync = *(*uintptr)(unsafe.Pointer(&tr)), *(*uintptr)(unsafe.Pointer(&sy))
	*methods = f.ours
	name := libc.GoString(zName)
	disks.Lock()
	f.disk = disks.byVFS[vfs]
	disks.files[file] = f
	disks.Unlock()
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.image = f.disk.files[name]; f.image == nil {
		f.image = &fileImage{}
		f.disk.files[name] = f.image
	}
	return rc
}

func opened(file uintptr) *openFile {
	disks.Lock()
	defer disks.Unlock()
	return disks.files[file]
}

func diskDelete(tls *libc.TLS, vfs, zName uintptr, syncDir int32) int32 {
	disks.Lock()
	d := disks.byVFS[vfs]
	disks.Unlock()
	d.mu.Lock()
	delete(d.files, libc.GoString(zName))
	d.mu.Unlock()
	return fn[delFn](disks.base.FxDelete)(tls, vfs, zName, syncDir)
}

func diskClose(tls *libc.TLS, file uintptr) int32 {
	f := opened(file)
	disks.Lock()
	delete(disks.files, file)
	disks.Unlock()
	rc := fn[closeFn](f.methods.FxClose)(tls, file)
	libc.Xfree(tls, f.ours)
	return rc
}

func diskWrite(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	f := opened(file)
	f.disk.mu.Lock()
	full := f.disk.full
	f.disk.mu.Unlock()
	if full {
		return sqlite3.SQLITE_FULL
	}
	rc := fn[writeFn](f.methods.FxWrite)(tls, file, buf, n, off)
	if rc == sqlite3.SQLITE_OK {
		f.note(change{off, append([]byte{}, unsafe.Slice((*byte)(at(buf)), n)...)})
	}
	return rc
}

func diskTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := opened(file)
	rc := fn[truncFn](f.methods.FxTruncate)(tls, file, size)
	if rc == sqlite3.SQLITE_OK {
		f.note(change{size, nil})
	}
	return rc
}

func (f *openFile) note(c change) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.image.pending = append(f.image.pending, c)
}

func diskSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := opened(file)
	d := f.disk
	d.mu.Lock()
	deny, gate, upTo := d.deny, d.gate, f.image.base+len(f.image.pending)
	d.mu.Unlock()
	if deny {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	if f.log && gate != nil {
		select {
		case d.held <- struct{}{}:
		default:
		}
		<-gate
	}
	rc := fn[syncFn](f.methods.FxSync)(tls, file, flags)
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; f.image.base < upTo; f.image.base++ { // another connection's sync may have been quicker
		f.image.durable = f.image.pending[0].apply(f.image.durable)
		f.image.pending = f.image.pending[1:]
	}
	if f.log {
		d.syncs++
	}
	return rc
}

// cut writes what a power cut at this moment leaves into dir. keep says for each change that was not synced whether it
// is there all the same.
func (d *faultyDisk) cut(t testing.TB, dir string, keep func() bool) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, img := range d.files {
		content := append([]byte(nil), img.durable...)
		for _, c := range img.pending {
			if keep() {
				content = c.apply(content)
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600))
	}
}

func (d *faultyDisk) set(f func(*faultyDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}
