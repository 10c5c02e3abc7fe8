package localfile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/mlsecrets/secretstore"
)

// canary stands in every value, and in no file.
const canary = "canary-7d1f0c"

// valueOf is a value that tells whose it is, and whether it is whole: the canary,
// the name, the serial number of the write, filler whose length depends on both,
// and a checksum.
func valueOf(name string, serial uint64) secretstore.Value {
	seed := sha256.Sum256(fmt.Append(nil, name, serial))
	n := int(seed[0]) * 2
	if seed[1] < 8 {
		n += 6000 // takes overflow pages
	}
	b := fmt.Appendf(nil, "%s|%s|%d|%s|", canary, name, serial, bytes.Repeat([]byte{'f'}, n))
	sum := sha256.Sum256(b)
	return secretstore.NewValue(hex.AppendEncode(b, sum[:]))
}

// serialOf returns the serial number in a value, which must be whole and the name's.
func serialOf(name string, value secretstore.Value) (uint64, error) {
	b := value.Reveal()
	if len(b) < 64 {
		return 0, fmt.Errorf("the value of %s has %d bytes", name, len(b))
	}
	body := b[:len(b)-64]
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != string(b[len(body):]) {
		return 0, fmt.Errorf("the value of %s is torn", name)
	}
	parts := bytes.Split(body, []byte("|"))
	if len(parts) != 5 || string(parts[1]) != name {
		return 0, fmt.Errorf("the value of %s is another's", name)
	}
	return strconv.ParseUint(string(parts[2]), 10, 64)
}

// state is what a store should hold: for each name the serial number of its last
// write, and for each key slot the number of its key.
type state struct {
	Values map[string]uint64
	Slots  map[int]int
}

func (s state) clone() state { return state{maps.Clone(s.Values), maps.Clone(s.Slots)} }

// keys returns the numbers of the keys that open the store, in order.
func (s state) keys() []int { return slices.Sorted(maps.Values(s.Slots)) }

// operation is one call that changes a store.
type operation struct {
	Kind   string   // "set", "batch", "delete", "add", "remove", "rotate"
	Names  []string // of set, batch and delete
	Serial uint64   // of set and batch
	Keys   []int    // of add (one) and rotate
	Slot   int      // of remove
}

// after returns the state that the operation leads to.
func (op operation) after(s state) state {
	s = s.clone()
	switch op.Kind {
	case "set", "batch":
		for _, name := range op.Names {
			s.Values[name] = op.Serial
		}
	case "delete":
		for _, name := range op.Names {
			delete(s.Values, name)
		}
	case "add":
		s.Slots[slices.Max(slices.Collect(maps.Keys(s.Slots)))+1] = op.Keys[0]
	case "remove":
		delete(s.Slots, op.Slot)
	case "rotate":
		s.Slots = map[int]int{}
		for i, k := range op.Keys {
			s.Slots[i+1] = k
		}
	}
	return s
}

const (
	modelNames = 200 // names that operations draw from
	modelKeys  = 4   // keys that operations draw from
	batchSize  = 50
)

func modelName(i int) string { return fmt.Sprintf("secret-%03d", i) }

// modelRange returns the names from first up to end.
func modelRange(first, end int) []string {
	var names []string
	for i := first; i < end; i++ {
		names = append(names, modelName(i))
	}
	return names
}

// nextBatch draws a SetBatch of 50.
func nextBatch(r *rand.Rand, serial uint64) operation {
	op := operation{Kind: "batch", Serial: serial}
	for _, i := range r.Perm(modelNames)[:batchSize] {
		op.Names = append(op.Names, modelName(i))
	}
	return op
}

// nextOperation draws an operation that can be done in the state.
func nextOperation(r *rand.Rand, s state, serial uint64) operation {
	op := operation{Serial: serial}
	names := r.Perm(modelNames)
	draw := func(n int) {
		for _, i := range names[:n] {
			op.Names = append(op.Names, modelName(i))
		}
	}
	used := s.keys()
	var free []int
	for k := range modelKeys {
		if !slices.Contains(used, k) {
			free = append(free, k)
		}
	}
	switch n := r.IntN(20); {
	case n < 6:
		op.Kind = "set"
		draw(1)
	case n < 12:
		return nextBatch(r, serial)
	case n < 15:
		op.Kind = "delete"
		draw(1 + r.IntN(20))
	case n < 17 && len(free) > 0:
		op.Kind = "add"
		op.Keys = free[:1]
	case n < 18 && len(used) > 1:
		op.Kind = "remove"
		ids := slices.Sorted(maps.Keys(s.Slots))
		op.Slot = ids[r.IntN(len(ids))]
	default:
		op.Kind = "rotate"
		op.Keys = r.Perm(modelKeys)[:1+r.IntN(2)]
	}
	return op
}
