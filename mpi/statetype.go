package mpi

// datatype writes or reads a type: a named one by its handle, another by how it was made.
func (c *codec) datatype(v **datatype) {
	var named uint32
	if *v != nil && (*v).predefined() {
		named = (*v).handle
	}
	c.u32(&named)
	if named != 0 {
		*v = predefined()[named]
		c.check(*v != nil, "datatype %#x is not known", named)
		return
	}
	if c.reading {
		*v = nil
	}
	ref(c, &c.types, v, func(t *datatype) {
		m := t.made
		c.contents(&m)
		if c.reading && c.err == nil {
			built, err := build(m)
			if err != nil {
				c.fail("a datatype is damaged: %v", err)
				return
			}
			*t = *built
			if t.base == built {
				t.base = t
			}
		}
		c.u32(&t.handle)
		c.int(&t.refs)
		c.string(&t.name)
		c.bool(&t.committed)
		c.bool(&t.fixed)
		c.typeAttributes(t)
	})
}

// typeAttributes writes or reads a derived type's attributes. A type that is sent to another rank has none there.
func (c *codec) typeAttributes(t *datatype) {
	a := c.typeAttrs[t]
	if a == nil {
		a = &attributes{}
	}
	c.attributes(a)
	if c.reading && len(a.list) > 0 && c.typeAttrs != nil {
		c.typeAttrs[t] = a
	}
}

func (c *codec) contents(m *contents) {
	c.int(&m.combiner)
	c.bool(&m.large)
	for _, l := range []*[]int64{&m.ints, &m.addrs, &m.counts} {
		list(c, l, c.int64)
	}
	list(c, &m.types, c.datatype)
	if c.reading && c.err == nil {
		for _, t := range m.types {
			c.check(t != nil, "a datatype is missing")
		}
		c.check(m.whole(), "a datatype's contents are damaged")
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

func (c *codec) operation(v **operation) {
	var named uint32
	if *v != nil && (*v).fn == 0 {
		named = (*v).handle
	}
	c.u32(&named)
	if named != 0 {
		*v = predefinedOps[named]
		c.check(*v != nil, "operation %#x is not known", named)
		return
	}
	ref(c, &c.ops, v, func(o *operation) {
		c.u32(&o.handle)
		c.u32(&o.fn)
		c.bool(&o.commutes)
		c.bool(&o.large)
		c.check(o.fn != 0, "an operation is damaged")
	})
}
