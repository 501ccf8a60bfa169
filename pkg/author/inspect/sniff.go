package inspect

import (
	"bytes"
	"unicode/utf8"
)

// sniffed is how many bytes tell what a file is.
const sniffed = 512

// wrongKind says what a file is that people take for a program or an image, by its
// first bytes; it is empty for what may be an archive.
func wrongKind(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	for _, k := range []struct{ begin, kind string }{
		{"\x7fELF", "an object file or a memory dump"},
		{"!<arch>\ndebian-binary", "a package of Debian"},
		{"!<arch>\n", "a static library"},
		{"\xed\xab\xee\xdb", "an RPM package"},
		{"MZ", "a program for Windows"},
		{"\xcf\xfa\xed\xfe", "a program for macOS"},
		{"\xca\xfe\xba\xbe", "a program for macOS or a class of Java"},
		{"PK\x03\x04", "a zip archive, such as a wheel or a jar"},
		{"hsqs", "a SquashFS image"},
		{"\x00asm", "a WebAssembly module"},
		{"BZh", "a file compressed with bzip2"},
		{"\xfd7zXZ\x00", "a file compressed with xz"},
		{"\x28\xb5\x2f\xfd", ""},
		{"\x1f\x8b", ""},
	} {
		if bytes.HasPrefix(head, []byte(k.begin)) {
			return k.kind
		}
	}
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return ""
	case len(head) > 41 && string(head[32:41]) == "SIF_MAGIC":
		return "an image of Apptainer (SIF)"
	case bytes.HasPrefix(head, []byte("#!")):
		return "a script"
	case isText(head) && (head[0] == '{' || head[0] == '['):
		return "JSON text"
	case isText(head):
		return "a text file"
	}
	return ""
}

func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && len(head) >= utf8.UTFMax || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			return false
		}
		head = head[n:]
	}
	return true
}
