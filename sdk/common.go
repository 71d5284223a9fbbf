package sdk

import (
	"fmt"
	"os"
	"strings"
)

// By -fcommon a variable without a value that several files define is one, as in C before gcc 10. WebAssembly's objects have none such: the variables that are all zeros are made weak, so that the linker takes
// the first. A file with a value for it has the one that counts.

const (
	segmentSubsection = 5
	zerosPrefix       = ".bss." // begins the names of segments of zeros
)

// makeCommon makes weak what an object has of variables without a value.
func makeCommon(object string) error {
	if !isFile(object) {
		return nil
	}
	content := readFile(object)
	segments := segmentsOf(content)
	some := false
	out := renamedObject(content, func(s *symbol) {
		if s.kind != kindData || s.flags&(flagUndefined|flagBindingMask) != 0 {
			return
		}
		at := (&reader{b: s.place}).uint()
		if at < uint64(len(segments)) && strings.HasPrefix(segments[at], zerosPrefix) {
			s.flags, some = s.flags|bindingWeak, true
		}
	}, &[]symbol{})
	if out == nil || !some {
		return nil // it is none, or has none
	}
	if err := os.WriteFile(object, out, 0o600); err != nil { // it is there, and keeps its mode
		return fmt.Errorf("object: %w", err)
	}
	return nil
}

// segmentsOf are the names of an object's segments of data.
func segmentsOf(object []byte) (names []string) {
	for id, section := range sections(object) {
		if id != customSection || section.name() != linkingSection {
			continue
		}
		section.uint() // its version
		for len(section.b) > 0 && !section.bad {
			kind, part := section.byte(), &reader{b: section.bytes(section.uint())}
			if kind != segmentSubsection {
				continue
			}
			for n := part.uint(); n > 0 && !part.bad; n-- {
				names = append(names, part.name())
				part.numbers(2) // alignment, flags
			}
		}
	}
	return names
}
