// Package layout is what MPI's datatypes say of memory (MPI 5.0 chapter 5): how types are made of others, where their elements lie, how these are copied, and
// how elements are combined by the predefined operations (section 6.9). It is pure: it knows no ranks and no messages, and keeps nothing.
package layout
