# What is durable of a conversation, and what crosses nodes of it. Each value under a key is one Record. The plain structs are
# in policy/ask.hpp, policy/turn.hpp and schemas/records.hpp, which say what a field means; here are units and bounds.
# Numbers are never reused. A field that is added is read as its default from older records; a change that an older reader
# would misunderstand raises Record.version.
@0xf267795e9523c2e3;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::records");

struct Record {
  version @0 :UInt16;
  # Of this format: 1. None is 0, so that a message of zeroes is no record.
  epoch @1 :UInt64;
  # Of the lease under which it was written; grows with every change of the conversation's home.

  union {
    conversation @2 :Conversation;
    accepted @3 :Accepted;
    plan @4 :AttemptPlan;
    result @5 :AttemptResult;
    ended @6 :Ended;
    summary @7 :Summary;
    turn @8 :Turn;
    turns @9 :List(Turn);
    # Crosses nodes; not kept under a key.
    pieces @10 :Pieces;
    shadow @11 :Shadow;
    # Of the node's log of shadows; its epoch is 0.
    pins @12 :Pins;
    found @13 :Found;
    # Kept until the turn ends.
  }
}

struct Name128 {
  # 128 random bits. The first byte of the name is the lowest of `low`.
  low @0 :UInt64;
  high @1 :UInt64;
}

struct Conversation {
  id @0 :Name128;
  createdMs @1 :Int64;
  # Milliseconds since 1970, by the clock of the home at that time.
  turns @2 :UInt32;
  # Accepted so far: the number of the newest turn.
  summaryVersion @3 :UInt32;
  # Of the newest summary that is complete; 0 while there is none.
}

enum Tier { mini @0; medium @1; heavy @2; }
enum Assurance { draft @0; standard @1; high @2; }
enum Priority { interactive @0; standard @1; batch @2; }
enum Grounding { automatic @0; never @1; always @2; }

struct Sampling {
  temperature @0 :Float32;
  # 0 is greedy.
  topK @1 :Int32;
  # Tokens; 0 is all.
  topP @2 :Float32;
  minP @3 :Float32;
}

struct ModelClass {
  fingerprint @0 :Text;
  # SHA-256 of the checkpoint, lower-case hexadecimal; of a remote model, which it is and where.
  numericClass @1 :Text;
  # "cpu-f32-v1"; "remote": nothing is known of it.
}

struct Passage {
  section @0 :Text;
  # The corpus's name of it, "records-policy-2024-02-15#3.2".
  name @1 :Text;
  # As a client sees it.
}

struct Ask {
  idempotencyKey @0 :Text;
  # At most 128 bytes.
  question @1 :Text;
  # At most 64 KiB.
  assurance @2 :Assurance;
  priority @3 :Priority;
  grounding @4 :Grounding;
  tier :union {
    any @5 :Void;
    only @6 :Tier;
  }
  sampling @7 :Sampling;
  seed :union {
    none @8 :Void;
    # Not yet drawn: only before acceptance.
    value @9 :UInt64;
  }
  tokensMax @10 :Int32;
  # Of the answer.
  deadlineMs @11 :Int64;
  # Milliseconds from acceptance.
  latencyBudgetMs @12 :Int64;
  # Milliseconds that the client hopes for; 0 is no hurry.
  keepIfUnread @13 :Bool;
  tenant @14 :Text;
  # For whom it is routed; at most 64 bytes, empty is nobody in particular.
}

enum Stage { intent @0; retrieval @1; reasoning @2; summary @3; }
enum Trouble { none @0; late @1; oversized @2; malformed @3; failed @4; }
enum Fallback {
  none @0; unknown @1; withoutPassages @2; refuse @3; escalate @4; quote @5; wait @6; keep @7; shorten @8; mark @9;
}

struct StageEntry {
  # What happened to one stage of a turn.
  stage @0 :Stage;
  attempt @1 :Int32 = -1;
  # Of reasoning: whose; -1: none was planned.
  promptTokens @2 :Int32;
  answerTokens @3 :Int32;
  milliseconds @4 :Int64;
  # That it took; nothing follows from it.
  trouble @5 :Trouble;
  fallback @6 :Fallback;
  # That was taken.
  why @7 :Text;
  # What was wrong; empty if nothing was.
}

struct Accepted {
  # What is durable of a turn before it is acknowledged.
  conversation @0 :Name128;
  number @1 :UInt32;
  # Within the conversation; the first is 1.
  ask @2 :Ask;
  acceptedMs @3 :Int64;
  # Milliseconds since 1970, by the clock of the home.
  kind @4 :Text;
  # How the question was classified; empty while it is not.
  search @5 :Text;
  # What was searched for; empty while nothing is.
  retrievalConfidence @6 :Float64 = -1;
  # Of that search, a probability; negative while nothing is found.
  kindConfidence @7 :Float64 = -1;
  # Of what the question was classified as, a probability; negative while that is nothing.
  kindSaid @8 :Text;
  # What that was, if it was not sure enough to be `kind`.
  stages @9 :List(StageEntry);
  # As far as they are durable: with each plan. At most 64.
}

struct Rung {
  # A tier that may answer.
  tier @0 :Tier;
  confidenceMin @1 :Float64;
  # A probability; below it the answer is not enough.
  secondOpinion @2 :Bool;
  # An answer that says the same as the unsure one before it is confident.
  uncitedMin @3 :Float64;
  # As confidenceMin, of an answer from passages that cites none.
}

struct Message {
  role @0 :Text;
  # "system", "user" or "assistant"
  content @1 :Text;
}

struct TokenPrice {
  # In the currency of whoever wrote the policy, for a million tokens.
  promptMillion @0 :Float64;
  answerMillion @1 :Float64;
}

struct AttemptPlan {
  # Everything that an attempt's tokens depend on; durable before the first of them.
  attempt @0 :Int32;
  # Within the turn; the first is 0. At most 63.
  eventNumber @1 :UInt64;
  # Of its `attempt` event.
  tier @2 :Tier;
  why @3 :Text;
  rule @4 :Text;
  model @5 :ModelClass;
  prompt @6 :List(Int32);
  # Token ids; at most 2^20.
  sampling @7 :Sampling;
  seed @8 :UInt64;
  tokensMax @9 :Int32;
  confidenceMin @10 :Float64;
  # A probability; below it the attempt is superseded.
  heldBack @11 :Bool;
  task @12 :Text;
  summaryVersion @13 :UInt32;
  # That is in the prompt; 0 is none.
  firstTurn @14 :UInt32;
  # The oldest that is in the prompt verbatim; 0 is none.
  passages @15 :List(Passage);
  # By number, from 1; at most 256.
  corpusVersion @16 :Text;
  escalation @17 :List(Rung);
  # The tiers that may follow, ascending; at most 8.
  secondOpinion @18 :Bool;
  # As its rung's.
  messages @19 :List(Message);
  # What a remote model reads; at most 8192.
  contextTokens @20 :Int32;
  # Estimate of the whole context by which the question was routed.
  price @21 :TokenPrice;
  pinsVersion @22 :UInt32;
  # 0: nothing was ever pinned.
  recalled @23 :List(MemoryEntry);
  # Of earlier summaries, joined to the one that it reads; at most 64.
  leftOut @24 :List(LeftOut);
  # At most 256.
  uncitedMin @25 :Float64;
  # As its rung's.
  logProbabilitySumMin @26 :Float64 = -inf;
  # Below it the attempt stops, since its answer could not be confident any more. At most 0; -infinity: it is completed.
}

struct MemoryEntry {
  line @0 :Text;
  # Of a summary: "User", "Answers", "Decided" or "Open"; empty is prose.
  text @1 :Text;
  turn @2 :UInt32;
  # The newest of those that it was written from.
}

struct LeftOut {
  # What a prompt could have had and has not, for a person.
  what @0 :Text;
  why @1 :Text;
}

struct Pins {
  # Each version is kept, under its number.
  version @0 :UInt32;
  # Within the conversation; the first is 1.
  texts @1 :List(Text);
  # In the order in which they were pinned; at most 16, of 1024 bytes together.
}

struct Emission {
  firstIndex @0 :Int32;
  # Of the first token, counted from the answer's start.
  ids @1 :List(Int32);
  # At most 4096.
  logProbabilities @2 :List(Float32);
  # Natural logarithms, one for each id.
  text @3 :Text;
}

struct AttemptResult {
  emissions @0 :List(Emission);
  # At most 8192.
  finishReason @1 :Text;
  confidence @2 :Float64;
  # The product of the token probabilities.
  promptTokens @3 :Int32;
  reusedTokens @4 :Int32;
  generatedTokens @5 :Int32;
  seconds @6 :Float64;
  # That the engine worked for it.
  node @7 :Text;
  activeParameters @8 :UInt64;
  # Of the model, for each token.
  supersededWhy @9 :Text;
  # Empty if the attempt's answer stood.
  failedCheck @10 :Text;
  # What the answer did not pass, as a sentence; empty if it passed.
  cost @11 :Float64;
  # By the plan's price.
}

struct Pieces {
  # What a remote model's attempt has sent so far, durable before it is shown. Each stands under the index of its first.
  emissions @0 :List(Emission);
  # At most 8192.
}

struct Outcome {
  committed @0 :Bool;
  answer @1 :Text;
  citations @2 :List(Passage);
  # Each once, by number; at most 256.
  attempt @3 :Int32;
  # Whose answer it is.
  confidence @4 :Float64;
  confident @5 :Bool;
  code @6 :Text;
  # Of the error, if the turn failed; so is `message`.
  message @7 :Text;
  doubt @8 :Text;
  # Why it is not confident; empty if it is.
  rule @9 :Text;
  # Of the policy, whose own words the answer is; then `attempt` is -1. Empty if it is a model's.
}

struct Ended {
  outcome @0 :Outcome;
  endedMs @1 :Int64;
  # Milliseconds since 1970, by the clock of the home.
  kind @2 :Text;
  search @3 :Text;
  retrievalConfidence @4 :Float64 = -1;
  kindConfidence @5 :Float64 = -1;
  kindSaid @6 :Text;
  # These five are known after acceptance, and stand here as they were in the end.
  stages @7 :List(StageEntry);
  # So do these.
}

struct Summary {
  version @0 :UInt32;
  # Within the conversation; the first is 1.
  firstTurn @1 :UInt32;
  lastTurn @2 :UInt32;
  # What came before `firstTurn` is in it through the version before.
  text @3 :Text;
  tier @4 :Tier;
  model @5 :ModelClass;
  turns @6 :List(UInt32);
  # Of which turn each of the text's entries is, in its order; empty is not known. At most 65536, as the next two.
  retired @7 :List(MemoryEntry);
  # Had to make room in this version, and hold still.
  withdrawn @8 :List(MemoryEntry);
  # Of the memory before this version: replaced, settled, or back in the text.
}

struct Attempt {
  plan @0 :AttemptPlan;
  result @1 :AttemptResult;
  # Absent while it runs.
}

struct Turn {
  accepted @0 :Accepted;
  attempts @1 :List(Attempt);
  # At most 64.
  ended @2 :Ended;
  # Absent while it runs. Its `kind` and `search` are equal to those of `accepted`.
}

struct ShadowAnswer {
  tiers @0 :List(Tier);
  # That were asked, one for each attempt; at most 64.
  text @1 :Text;
  # At most 16 KiB of it.
  citations @2 :List(Text);
  # Sections, by number; at most 256.
  confidence @3 :Float64;
  confident @4 :Bool;
  doubt @5 :Text;
  failedCheck @6 :Text;
  cost @7 :Float64;
  # By the price of its policy.
  computed @8 :Float64;
  # Active parameters times tokens computed.
  engineMs @9 :Int64;
  # Milliseconds that its attempts were with engines.
  wholeMs @10 :Int64;
  # Milliseconds from acceptance, or from when it was begun, to its end.
}

struct Shadow {
  # What became of a turn that was drawn to be answered once more.
  enum Fate { compared @0; failed @1; dropped @2; }
  experiment @0 :Text;
  conversation @1 :Name128;
  turn @2 :UInt32;
  atMs @3 :Int64;
  # Milliseconds since 1970, by the clock of the turn's home.
  question @4 :Text;
  # At most 4 KiB of it.
  fate @5 :Fate;
  why @6 :Text;
  # If it was not compared.
  client @7 :ShadowAnswer;
  shadow @8 :ShadowAnswer;
  sameText @9 :Bool;
  sameCitations @10 :Bool;
  sameValues @11 :Bool;
}

struct Found {
  # What the search of a turn found: what its attempts read, and its citations are checked against, whatever becomes of the
  # corpus. Durable with the first plan.
  passages @0 :List(FoundPassage);
  # The best first; at most 256.
}

struct FoundPassage {
  passage @0 :Passage;
  text @1 :Text;
}
