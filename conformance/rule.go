package conformance

import (
	"cmp"
	"context"
	"slices"
)

// Need is what a rule needs of the harness beyond a store.
type Need string

// The needs of rules.
const (
	NeedsNothing  Need = ""
	NeedsOwn      Need = "a store that is not shared"
	NeedsDelete   Need = "a store that can delete"
	NeedsSecond   Need = "a second handle"
	NeedsChild    Need = "a child process"
	NeedsAtomic   Need = "atomic batches"
	NeedsLock     Need = "a lock to hold"
	NeedsRequests Need = "a count of requests"
	NeedsFault    Need = "a fault: " // and its name
)

// Rule is one sentence of the contract, and the check that a store keeps it.
type Rule struct {
	ID       string // "get/absent", for instance; it never changes
	Sentence string // of the contract
	Needs    Need

	check func(ctx context.Context, e *env) error
}

// Rules returns all rules, in order of their ids.
func Rules() []Rule {
	rules := slices.Concat(valueRules, nameRules, singleRules, getBatchRules, setBatchRules, listRules,
		deleteRules, aliasRules, contextRules, closeRules, errorRules, faultRules, concurrentRules, modelRules)
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return rules
}
