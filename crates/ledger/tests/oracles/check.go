// Reads a log and certificates with golang.org/x/mod/sumdb, which shares no code with this project.
//
//	go run check.go LOG VKEY CONSISTENCY CERTIFICATE...
//
// CONSISTENCY has a line for each older head: size, root, and the proof's hashes, in base64.
// Prints a note signed by a fresh Go key for the other direction: its vkey, then the note in base64.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func hash(text string) tlog.Hash {
	h, err := tlog.ParseHash(text)
	must(err)
	return h
}

// head opens a checkpoint under the log's key.
func head(msg []byte, known note.Verifiers, origin string) tlog.Tree {
	n, err := note.Open(msg, known)
	must(err)
	lines := strings.Split(n.Text, "\n")
	if lines[0] != origin {
		must(fmt.Errorf("origin %q", lines[0]))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	return tlog.Tree{N: size, Hash: hash(lines[2])}
}

// tiles reads our tiles where Go would look for its own.
type tiles struct{ folder string }

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range list {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		w := size - n*256
		if w > 256 {
			w = 256
		}
		tile := tlog.Tile{H: 8, L: 0, N: n, W: int(w)}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(folder, path))
		must(err)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	return all
}

func main() {
	folder, vkey, consistency := os.Args[1], os.Args[2], os.Args[3]
	verifier, err := note.NewVerifier(vkey)
	must(err)
	known := note.VerifierList(verifier)
	msg, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	must(err)
	tree := head(msg, known, verifier.Name())

	// The root, from the entries alone.
	all := entries(folder, tree.N)
	if int64(len(all)) != tree.N {
		must(fmt.Errorf("%d entries of %d", len(all), tree.N))
	}
	var stored []tlog.Hash
	memory := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, entry := range all {
		hashes, err := tlog.StoredHashes(int64(i), entry, memory)
		must(err)
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(tree.N, memory)
	must(err)
	if root != tree.Hash {
		must(fmt.Errorf("root %v, the checkpoint says %v", root, tree.Hash))
	}

	// Proofs made by Go from our tiles.
	reader := tlog.TileHashReader(tree, tiles{folder})
	for i := int64(0); i < tree.N; i += 1 + tree.N/50 {
		proof, err := tlog.ProveRecord(tree.N, i, reader)
		must(err)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, i, tlog.RecordHash(all[i])))
	}

	// Our proofs of consistency.
	data, err := os.ReadFile(consistency)
	must(err)
	old := 0
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		words := strings.Fields(line)
		size, err := strconv.ParseInt(words[0], 10, 64)
		must(err)
		var proof tlog.TreeProof
		for _, word := range words[2:] {
			proof = append(proof, hash(word))
		}
		must(tlog.CheckTree(proof, tree.N, tree.Hash, size, hash(words[1])))
		if tlog.CheckTree(proof, tree.N, tree.Hash, size, tlog.RecordHash(nil)) == nil {
			must(fmt.Errorf("a wrong root of size %d is accepted", size))
		}
		old++
	}

	// Our certificates.
	for _, path := range os.Args[4:] {
		data, err := os.ReadFile(path)
		must(err)
		cut := bytes.Index(data, []byte("\n\n"))
		lines := strings.Split(string(data[:cut]), "\n")
		tree := head(data[cut+2:], known, verifier.Name())
		if lines[0] != "c2sp.org/tlog-proof@v1" {
			must(fmt.Errorf("first line %q", lines[0]))
		}
		entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
		must(err)
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
		must(err)
		var proof tlog.RecordProof
		for _, line := range lines[3:] {
			proof = append(proof, hash(line))
		}
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
		entry[0] ^= 1
		if tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)) == nil {
			must(fmt.Errorf("%s: another entry is accepted", path))
		}
	}
	fmt.Printf("%d entries, %d older heads, %d certificates\n", tree.N, old, len(os.Args[4:]))

	skey, gokey, err := note.GenerateKey(rand.Reader, "go.example/log")
	must(err)
	signer, err := note.NewSigner(skey)
	must(err)
	text := fmt.Sprintf("go.example/log\n%d\n%v\n", tree.N, tree.Hash)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	fmt.Println(gokey)
	fmt.Println(base64.StdEncoding.EncodeToString(signed))
}
