// A second opinion on the log: checks a signed note, inclusion and consistency proofs with Go's own packages.
// Input on standard input, JSON lines: {"vkey": ..}, {"note": ..}, {"leaf": b64, "index": n, "size": n, "root": b64, "path": [b64]},
// {"old": n, "oldroot": b64, "size": n, "root": b64, "path": [b64]}. Prints how many of each held, and fails on the first that does not.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type line struct {
	Vkey    string   `json:"vkey"`
	Note    string   `json:"note"`
	Leaf    string   `json:"leaf"`
	Index   int64    `json:"index"`
	Size    int64    `json:"size"`
	Root    string   `json:"root"`
	Old     int64    `json:"old"`
	OldRoot string   `json:"oldroot"`
	Path    []string `json:"path"`
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func octets(text string) []byte {
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		fail(err)
	}
	return out
}

func hash(text string) (h tlog.Hash) {
	copy(h[:], octets(text))
	return h
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	var verifier note.Verifier
	notes, records, trees := 0, 0, 0
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			fail(err)
		}
		path := make([]tlog.Hash, len(l.Path))
		for i, text := range l.Path {
			path[i] = hash(text)
		}
		switch {
		case l.Vkey != "":
			v, err := note.NewVerifier(l.Vkey)
			if err != nil {
				fail(err)
			}
			verifier = v
		case l.Note != "":
			if _, err := note.Open([]byte(l.Note), note.VerifierList(verifier)); err != nil {
				fail(err)
			}
			notes++
		case l.Leaf != "":
			leaf := tlog.RecordHash(octets(l.Leaf))
			if err := tlog.CheckRecord(path, l.Size, hash(l.Root), l.Index, leaf); err != nil {
				fail(err)
			}
			records++
		default:
			if err := tlog.CheckTree(path, l.Size, hash(l.Root), l.Old, hash(l.OldRoot)); err != nil {
				fail(err)
			}
			trees++
		}
	}
	fmt.Println(notes, records, trees)
}
