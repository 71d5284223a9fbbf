package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

// keyval is a key of attributes with its callbacks (MPI 5.0 section 7.7).
type keyval struct {
	handle     uint32
	freed      bool // the program has freed it: it goes with its last attribute
	uses       int  // attributes
	kind       objectKind
	copyFn     uint32
	deleteFn   uint32
	extraState uint32
}

// attributes of one object, in the order they were set.
type attributes struct{ list []attribute }

type attribute struct {
	key   *keyval
	value uint32
}

func (a *attributes) find(k *keyval) int {
	return slices.IndexFunc(a.list, func(x attribute) bool { return x.key == k })
}

// attributeCalls are the functions about attributes.
func attributeCalls() []entry {
	calls := []entry{
		{name: "MPI_Keyval_create", impl: createKeyval(kindComm).as("copyAttrFn", "copy_fn", "deleteAttrFn", "delete_fn")},
		{name: "MPI_Keyval_free", impl: bind(callKeyvalFree)},
		{name: "MPI_Attr_put", impl: setAttribute(kindComm).as("object", "comm")},
		{name: "MPI_Attr_get", impl: getAttribute(kindComm).as("object", "comm")},
		{name: "MPI_Attr_delete", impl: deleteAttribute(kindComm).as("object", "comm")},
	}
	for _, r := range []struct {
		kind           objectKind
		prefix, object string
	}{{kindComm, "comm", "comm"}, {kindType, "type", "datatype"}, {kindWin, "win", "win"}} {
		name, keyval := "MPI_"+string(r.prefix[0]-0x20)+r.prefix[1:]+"_", r.prefix+"_keyval"
		create := createKeyval(r.kind).as("keyval", keyval, "copyAttrFn", r.prefix+"_copy_attr_fn", "deleteAttrFn", r.prefix+"_delete_attr_fn")
		calls = append(calls,
			entry{name: name + "create_keyval", impl: create},
			entry{name: name + "free_keyval", impl: bind(callKeyvalFree).as("keyval", keyval)},
			entry{name: name + "set_attr", impl: setAttribute(r.kind).as("object", r.object, "keyval", keyval)},
			entry{name: name + "get_attr", impl: getAttribute(r.kind).as("object", r.object, "keyval", keyval)},
			entry{name: name + "delete_attr", impl: deleteAttribute(r.kind).as("object", r.object, "keyval", keyval)})
	}
	return calls
}

type createKeyvalArgs struct{ copyAttrFn, deleteAttrFn, keyval, extraState address }

func createKeyval(kind objectKind) body {
	return bind(func(p *Proc, a createKeyvalArgs) error {
		if _, err := p.handles(a.keyval, 1); err != nil {
			return err
		}
		k := &keyval{kind: kind, copyFn: a.copyAttrFn, deleteFn: a.deleteAttrFn, extraState: a.extraState}
		var err error
		if k.handle, err = p.keyvals.add(k, p.w.cfg.MaxObjects); err != nil {
			return err
		}
		return p.putWord(a.keyval, k.handle)
	})
}

type keyvalFreeArgs struct{ keyval address }

// callKeyvalFree forgets a key; attributes that have it stay, and keep it usable.
func callKeyvalFree(p *Proc, a keyvalFreeArgs) error {
	h, err := p.word(a.keyval)
	if err != nil {
		return err
	}
	k := p.keyvals.get(h)
	if k == nil {
		return keyError(h)
	}
	k.freed = true
	p.unused(k)
	return p.putInt(a.keyval, abi.KeyInvalid)
}

// unused forgets a key that was freed and has no attributes left.
func (p *Proc) unused(k *keyval) {
	if k.freed && k.uses <= 0 {
		p.keyvals.drop(k.handle)
	}
}

// add gives an object an attribute.
func (a *attributes) add(x attribute) {
	x.key.uses++
	a.list = append(a.list, x)
}

// remove takes an attribute away, if it is still there after its delete function.
func (p *Proc) remove(a *attributes, k *keyval) {
	if i := a.find(k); i >= 0 {
		a.list = slices.Delete(a.list, i, i+1)
		k.uses--
		p.unused(k)
	}
}

func keyError(h uint32) error {
	if h > 0 && h < abi.MaxKeyPredefined {
		return abi.Fail(abi.ErrKeyval, "key %d is predefined", h)
	}
	return abi.Fail(abi.ErrKeyval, "key %#x is not known", h)
}

// holder finds an object's attributes, and an error raised on it.
func (p *Proc) holder(kind objectKind, handle uint32) (*attributes, *callError, error) {
	switch kind {
	case kindType:
		t, err := p.typeOf(handle)
		if err != nil {
			return nil, nil, err
		}
		return p.typeAttributes(t), &callError{}, nil
	case kindWin:
		w, err := p.window(handle)
		if err != nil {
			return nil, nil, err
		}
		return &w.attrs, &callError{win: w}, nil
	case kindComm, kindSession, kindFile:
	}
	c, err := p.comm(handle)
	if err != nil {
		return nil, nil, err
	}
	return &c.attrs, &callError{comm: c}, nil
}

// lookup finds a key for an object of a kind.
func (p *Proc) lookup(kind objectKind, handle uint32) (*keyval, error) {
	k := p.keyvals.get(handle)
	if k == nil {
		return nil, keyError(handle)
	}
	if k.kind != kind {
		return nil, abi.Fail(abi.ErrKeyval, "the key is for objects of another kind")
	}
	return k, nil
}

type setAttributeArgs struct {
	object, keyval handle
	attributeVal   address
}

func setAttribute(kind objectKind) body {
	return bind(func(p *Proc, a setAttributeArgs) error {
		list, on, err := p.holder(kind, a.object)
		if err != nil {
			return err
		}
		k, err := p.lookup(kind, a.keyval)
		if err != nil {
			return on.raise(err)
		}
		if i := list.find(k); i >= 0 { // the old value is deleted first
			if err := p.callDelete(a.object, list.list[i]); err != nil {
				return on.raise(err)
			}
			if i := list.find(k); i >= 0 {
				list.list[i].value = a.attributeVal
				return nil
			}
		}
		list.add(attribute{k, a.attributeVal})
		return nil
	})
}

type getAttributeArgs struct {
	object, keyval     handle
	attributeVal, flag address
}

func getAttribute(kind objectKind) body {
	return bind(func(p *Proc, a getAttributeArgs) error {
		list, on, err := p.holder(kind, a.object)
		if err != nil {
			return err
		}
		value, found, err := p.predefinedAttribute(kind, a.object, a.keyval)
		if err != nil {
			return on.raise(err)
		}
		if !found && (a.keyval >= abi.MaxKeyPredefined || a.keyval == abi.KeyInvalid) {
			k, err := p.lookup(kind, a.keyval)
			if err != nil {
				return on.raise(err)
			}
			if i := list.find(k); i >= 0 {
				value, found = list.list[i].value, true
			}
		}
		if found {
			err = p.putWord(a.attributeVal, value)
		}
		if err == nil {
			err = p.putInt(a.flag, truth(found))
		}
		return on.raise(err)
	})
}

type deleteAttributeArgs struct{ object, keyval handle }

func deleteAttribute(kind objectKind) body {
	return bind(func(p *Proc, a deleteAttributeArgs) error {
		list, on, err := p.holder(kind, a.object)
		if err != nil {
			return err
		}
		k, err := p.lookup(kind, a.keyval)
		if err != nil {
			return on.raise(err)
		}
		i := list.find(k)
		if i < 0 {
			return on.raise(abi.Fail(abi.ErrKeyval, "the object has no attribute of that key"))
		}
		if err := p.callDelete(a.object, list.list[i]); err != nil {
			return on.raise(err)
		}
		p.remove(list, k)
		return nil
	})
}

// callDelete runs an attribute's delete function.
func (p *Proc) callDelete(object uint32, x attribute) error {
	if x.key.deleteFn == abi.DeleteNull {
		return nil
	}
	code, err := p.callThrough(x.key.deleteFn, object, x.key.handle, x.value, x.key.extraState)
	return callbackError(code, err, "the attribute's delete function")
}

// callbackError makes an error of what a callback returned.
func callbackError(code uint32, err error, what string) error {
	if err == nil && code != abi.Success {
		return abi.Fail(int(int32(code)), "%s has returned %d", what, int32(code))
	}
	return err
}

// freedInside is what is wrong where a delete function frees the object whose attribute it deletes.
const freedInside = "it was freed by a delete function of its attributes"

// deleteAttributes empties an object's attributes, the last set first (MPI 5.0 section 11.2.4 wants that of
// MPI_COMM_SELF; elsewhere the order is free).
func (p *Proc) deleteAttributes(object uint32, list *attributes) error {
	for len(list.list) > 0 {
		x := list.list[len(list.list)-1]
		if err := p.callDelete(object, x); err != nil {
			return err
		}
		p.remove(list, x.key)
	}
	return nil
}

// copyAttributes gives a duplicate those attributes whose copy function says so (MPI 5.0 section 7.7.2), or none if one fails.
func (p *Proc) copyAttributes(object uint32, from, to *attributes) error {
	err := p.copyEach(object, from, to)
	if err != nil {
		p.forget(to)
	}
	return err
}

// forget empties attributes, of which their delete functions do not hear.
func (p *Proc) forget(list *attributes) {
	for len(list.list) > 0 {
		p.remove(list, list.list[len(list.list)-1].key)
	}
}

func (p *Proc) copyEach(object uint32, from, to *attributes) error {
	for _, x := range slices.Clone(from.list) {
		switch x.key.copyFn {
		case abi.CopyNull:
			continue
		case abi.CopyDup:
			to.add(x)
			continue
		}
		words := []uint32{0, 0} // the new value, the flag
		err := p.withWords(words, func(addr uint32) error {
			code, err := p.callThrough(x.key.copyFn, object, x.key.handle, x.key.extraState, x.value, addr, addr+4)
			return callbackError(code, err, "the attribute's copy function")
		})
		if err != nil {
			return err
		}
		if words[1] != 0 {
			to.add(attribute{x.key, words[0]})
		}
	}
	return nil
}

// predefinedAttribute answers for the keys of the standard. The values of most are pointers to an int, which stand in
// memory of the program that the library allocates for it.
func (p *Proc) predefinedAttribute(kind objectKind, object, key uint32) (value uint32, found bool, err error) {
	if kind == kindWin {
		return p.windowAttribute(object, key)
	}
	if kind != kindComm || key < abi.KeyTagUB || key > abi.KeyUniverse || (object != abi.CommWorld && key != abi.KeyTagUB && key != abi.KeyWtimeGlobal) {
		return 0, false, nil
	}
	if p.attrMemory == 0 {
		if p.attrMemory, err = p.alloc(4*(abi.KeyUniverse-abi.KeyTagUB+1), 8); err != nil {
			return 0, false, err
		}
	}
	p.refreshAttributes()
	return p.attrMemory + 4*(key-abi.KeyTagUB), true, nil
}

// refreshAttributes stores the predefined attributes' values in the program's memory, if it has asked for one.
func (p *Proc) refreshAttributes() {
	if p.attrMemory == 0 {
		return
	}
	_, appnum := p.w.cfg.programOf(p.rank)
	for i, v := range [...]int{abi.TagUB, abi.AnySource, abi.ProcNull, 0, appnum, p.codes.last, p.w.cfg.Size} {
		if p.putInt(p.attrMemory+4*uint32(i), v) != nil {
			return // only a damaged state leads here
		}
	}
}
