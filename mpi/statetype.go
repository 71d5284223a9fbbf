package mpi

import "github.com/godwit-run/godwit/mpi/layout"

// datatype writes or reads a type: a named one by its handle, another by how it was made.
func (c *codec) datatype(v **layout.Type) {
	var named uint32
	if *v != nil && (*v).Predefined() {
		named = (*v).Handle
	}
	c.u32(&named)
	if named != 0 {
		*v = layout.Predefined()[named]
		c.check(*v != nil, "datatype %#x is not known", named)
		return
	}
	if c.reading {
		*v = nil
	}
	ref(c, &c.types, v, func(t *layout.Type) {
		m := t.Made
		c.contents(&m)
		if c.reading && c.err == nil {
			built, err := layout.Build(m)
			if err != nil {
				c.fail("a datatype is damaged: %v", err)
				return
			}
			*t = *built
			if t.Base == built {
				t.Base = t
			}
		}
		c.u32(&t.Handle)
		c.int(&t.Refs)
		c.string(&t.Name)
		c.bool(&t.Committed)
		c.bool(&t.Fixed)
		c.typeAttributes(t)
	})
}

// typeAttributes writes or reads a derived type's attributes. A type that is sent to another rank has none there.
func (c *codec) typeAttributes(t *layout.Type) {
	a := c.typeAttrs[t]
	if a == nil {
		a = &attributes{}
	}
	c.attributes(a)
	if c.reading && len(a.list) > 0 && c.typeAttrs != nil {
		c.typeAttrs[t] = a
	}
}

func (c *codec) contents(m *layout.Contents) {
	c.int(&m.Combiner)
	c.bool(&m.Large)
	for _, l := range []*[]int64{&m.Ints, &m.Addrs, &m.Counts} {
		list(c, l, c.int64)
	}
	list(c, &m.Types, c.datatype)
	if c.reading && c.err == nil {
		for _, t := range m.Types {
			c.check(t != nil, "a datatype is missing")
		}
		c.check(m.Whole(), "a datatype's contents are damaged")
	}
}

func (c *codec) attributes(a *attributes) {
	list(c, &a.list, func(x *attribute) {
		c.keyval(&x.key)
		c.u32(&x.value)
		c.check(x.key != nil, "an attribute has no key")
	})
}

func (c *codec) keyval(v **keyval) {
	ref(c, &c.keyvals, v, func(k *keyval) {
		c.u32(&k.handle)
		c.bool(&k.freed)
		c.int(&k.uses)
		c.u8((*uint8)(&k.kind))
		for _, x := range []*uint32{&k.copyFn, &k.deleteFn, &k.extraState} {
			c.u32(x)
		}
	})
}

func (c *codec) errhandler(v **errhandler) {
	var named uint32
	if *v != nil && (*v).predefined() {
		named = (*v).handle
	}
	c.u32(&named)
	if named != 0 {
		*v = predefinedHandlers[named]
		c.check(*v != nil, "error handler %#x is not known", named)
		return
	}
	ref(c, &c.errhandlers, v, func(h *errhandler) {
		c.u32(&h.handle)
		c.int(&h.refs)
		c.u8((*uint8)(&h.kind))
		c.u32(&h.fn)
		c.check(h.kind != 0, "an error handler is damaged")
	})
	c.check(*v != nil, "an error handler is missing")
}

func (c *codec) operation(v **layout.Op) {
	var named uint32
	if *v != nil && (*v).Func == 0 {
		named = (*v).Handle
	}
	c.u32(&named)
	if named != 0 {
		*v = layout.PredefinedOps[named]
		c.check(*v != nil, "operation %#x is not known", named)
		return
	}
	ref(c, &c.ops, v, func(o *layout.Op) {
		c.u32(&o.Handle)
		c.u32(&o.Func)
		c.bool(&o.Commutes)
		c.bool(&o.Large)
		c.check(o.Func != 0, "an operation is damaged")
	})
}
