package sdk

// Lang is a language that guests are written in, by its row in the table of languages.
type Lang uint8

// The languages.
const (
	C Lang = iota
	CXX
)

// language is what the recipe knows of a language.
type language struct {
	name    string
	command string   // of godwit
	driver  string   // clang's command for it
	chosen  []string // variables of the environment that name another driver
	library bool     // guests need the C++ library for it
}

// languages are the rows, in the order of the constants.
//
//nolint:gochecknoglobals // an immutable lookup table
var languages = [...]language{
	C:   {name: "C", command: "godwit cc", driver: "clang", chosen: []string{"MPI_CC", "OMPI_CC", "MPICH_CC"}},
	CXX: {name: "C++", command: "godwit c++", driver: "clang++", chosen: []string{"MPI_CXX", "OMPI_CXX", "MPICH_CXX"}, library: true},
}

// String is the name of the command.
func (l Lang) String() string { return languages[l].command }

// Unsupported is the sentence for a language that guests cannot be written in, for the command that would compile it.
const Unsupported = "Fortran is not supported yet; C and C++ are: mpicc, mpicxx"
