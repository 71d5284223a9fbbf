//go:build linux && amd64

package native

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const pageBytes = 4096

// functionBytes is the size of struct function of c/guest.h.
const functionBytes = 24

// symbol is where a function of the module is in the text.
type symbol struct {
	begin, end uintptr
	index      uint32
}

// Object is a module's code, mapped once for all of its guests in this process.
type Object struct {
	module    *module
	mapping   []byte
	functions uintptr // array of struct function
	symbols   []symbol
}

// errObject is returned for bytes that are not an object of this package's.
var errObject = errors.New("not an object of the native engine")

// Load maps an object that Compile has made of a module: relative relocations only, no imports, and no page that can be written and executed.
func Load(wasm, object []byte) (*Object, error) {
	m, err := decode(wasm)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errObject, err)
	}
	if f.Machine != elf.EM_X86_64 || f.Type != elf.ET_DYN || f.ByteOrder != binary.LittleEndian || f.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("%w: of another processor", errObject)
	}
	a, err := text()
	if err != nil {
		return nil, err
	}
	o := &Object{module: m}
	size, err := extent(f)
	if err != nil {
		return nil, err
	}
	if o.mapping = a.take(size); o.mapping == nil {
		return nil, errors.New("no addresses are left for code")
	}
	if err := o.fill(f); err != nil {
		return nil, errors.Join(err, a.give(o.mapping))
	}
	return o, nil
}

// Close unmaps the code. No guest of it may be left.
func (o *Object) Close() error {
	a, err := text()
	if err != nil {
		return err
	}
	return a.give(o.mapping)
}

// extent is how many bytes an object takes.
func extent(f *elf.File) (int, error) {
	end := uint64(0)
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if p.Vaddr > MaxObjectBytes || p.Memsz > MaxObjectBytes || p.Filesz > p.Memsz || p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0 {
			return 0, fmt.Errorf("%w: a segment of %d bytes at %#x with flags %v", errObject, p.Memsz, p.Vaddr, p.Flags)
		}
		end = max(end, p.Vaddr+p.Memsz)
	}
	if end == 0 {
		return 0, fmt.Errorf("%w: it is empty", errObject)
	}
	return (int(end) + pageBytes - 1) &^ (pageBytes - 1), nil
}

// fill copies the segments, relocates and protects them.
func (o *Object) fill(f *elf.File) error {
	if err := unix.Mprotect(o.mapping, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("map code: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			if _, err := p.ReadAt(o.mapping[p.Vaddr:p.Vaddr+p.Filesz], 0); err != nil {
				return fmt.Errorf("%w: %w", errObject, err)
			}
		}
	}
	if err := o.relocate(f); err != nil {
		return err
	}
	if err := o.find(f); err != nil {
		return err
	}
	protected := 0
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		begin, end := int(p.Vaddr)&^(pageBytes-1), (int(p.Vaddr+p.Memsz)+pageBytes-1)&^(pageBytes-1)
		if begin < protected {
			return fmt.Errorf("%w: two segments share a page", errObject)
		}
		protected = end
		flags := unix.PROT_READ
		if p.Flags&elf.PF_X != 0 {
			flags |= unix.PROT_EXEC
		}
		if err := unix.Mprotect(o.mapping[begin:end], flags); err != nil { // what is written to in it is so by relocations only
			return fmt.Errorf("protect code: %w", err)
		}
	}
	return nil
}

// relocate adds the address at which the object is to each pointer in it.
func (o *Object) relocate(f *elf.File) error {
	const entry, relative, packed = 24, 8, 19 // bytes, R_X86_64_RELATIVE, SHT_RELR
	base := uint64(uintptr(unsafe.Pointer(&o.mapping[0])))
	for _, s := range f.Sections {
		if s.Type == elf.SHT_REL || s.Type == packed {
			return fmt.Errorf("%w: relocations of type %v", errObject, s.Type)
		}
		if s.Type != elf.SHT_RELA || s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		entries, err := s.Data()
		if err != nil {
			return fmt.Errorf("%w: %w", errObject, err)
		}
		for ; len(entries) >= entry; entries = entries[entry:] {
			at, info, addend := binary.LittleEndian.Uint64(entries), binary.LittleEndian.Uint64(entries[8:]), binary.LittleEndian.Uint64(entries[16:])
			if info != relative || at > uint64(len(o.mapping))-8 || addend > uint64(len(o.mapping)) {
				return fmt.Errorf("%w: relocation of type %d at %#x", errObject, info, at)
			}
			binary.LittleEndian.PutUint64(o.mapping[at:], base+addend)
		}
	}
	return nil
}

// find looks for the list of functions, and for where each of them is.
func (o *Object) find(f *elf.File) error {
	symbols, err := f.Symbols()
	if err != nil {
		return fmt.Errorf("%w: %w", errObject, err)
	}
	base := uintptr(unsafe.Pointer(&o.mapping[0]))
	count := uint64(len(o.module.imports) + len(o.module.functions))
	for _, s := range symbols {
		if s.Value > uint64(len(o.mapping)) || s.Size > uint64(len(o.mapping))-s.Value {
			return fmt.Errorf("%w: symbol %q", errObject, s.Name)
		}
		if s.Name == "functions" && s.Size == (count+1)*functionBytes {
			o.functions = base + uintptr(s.Value)
		}
		if index, err := strconv.ParseUint(strings.TrimPrefix(s.Name, "w"), 10, 32); err == nil && strings.HasPrefix(s.Name, "w") && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			o.symbols = append(o.symbols, symbol{base + uintptr(s.Value), base + uintptr(s.Value+s.Size), uint32(index)})
		}
	}
	if o.functions == 0 {
		return fmt.Errorf("%w: it is of another module", errObject)
	}
	slices.SortFunc(o.symbols, func(a, b symbol) int {
		if a.begin < b.begin {
			return -1
		}
		return 1
	})
	return nil
}

// at is the function that an address of the text is in.
func (o *Object) at(pc uintptr) (uint32, bool) {
	i, found := slices.BinarySearchFunc(o.symbols, pc, func(s symbol, pc uintptr) int {
		switch {
		case s.end <= pc:
			return -1
		case s.begin > pc:
			return 1
		}
		return 0
	})
	if !found {
		return 0, false
	}
	return o.symbols[i].index, true
}
