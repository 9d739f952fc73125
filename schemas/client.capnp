@0x951831f0a0fda128;
# What clients and operators say to a node: the public protocol of troupe, over Cap'n Proto RPC.
#
# A client enters at the Door, opens or resumes a Conversation, asks, and follows the turn that its question became. A turn is a
# numbered list of events, the same for every reader and after every resume; so a client that loses its node goes to another one
# and follows from the next number.
#
# Calls that are refused say so in an Outcome; an exception of the RPC system means that the connection or the node failed.
# It shares no structs with records.capnp and cluster.capnp: those change with troupe, this one only with its clients.
# Field numbers are never reused. A frame that a node receives has at most 1 MiB, one that it sends at most 8 MiB.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::client");

const protocolVersion :UInt32 = 1;
# Grows when an older peer would misunderstand a newer one; new fields and methods alone do not change it.

interface Door {
  # What a new connection holds. The two capabilities are separate: who holds one cannot make the other from it.
  enter @0 (protocol :UInt32) -> (outcome :Outcome(Entry));
  # For clients. Refused unless `protocol` is the node's `protocolVersion`; the refusal has both numbers.
  operate @1 (protocol :UInt32) -> (outcome :Outcome(OperatorEntry));
  # For whoever runs the cluster.
}

struct Entry {
  service @0 :Service;
}

struct OperatorEntry {
  operator @0 :Operator;
}

interface Service {
  # What a client may do.
  ping @0 () -> ();
  # Answered at once: a client that waits for a quiet stream asks whether the node is still there.
  models @1 () -> (outcome :Outcome(Models));
  open @2 () -> (outcome :Outcome(Opened));
  # A new conversation.
  resume @3 (id :Data) -> (outcome :Outcome(Opened));
  # One that exists. `not_found` if it does not, `unavailable` if its home is away.
}

interface Operator {
  status @0 () -> (outcome :Outcome(ClusterView));
  drain @1 (node :Text) -> (outcome :Outcome(NodeView));
  # Takes a node out of the cluster's work: from now on it gives what it holds to others. The reply comes when that has begun and
  # says how the node is; `status` tells how it goes on. Asked again, it answers the same.
  join @2 (node :Text) -> (outcome :Outcome(NodeView));
  # Ends a drain, whether or not it is over: the node takes part again, and keeps what it still holds.
  shadows @3 (query :ShadowQuery) -> (outcome :Outcome(ShadowPage));
  # What became of turns that were drawn to be answered once more, of those that were at home on this node.
  documents @4 (from :UInt32, limit :UInt32) -> (outcome :Outcome(DocumentPage));
  # What this node answers from, by name, without what it says; from the one with number `from` on (the first is 0), at most
  # `limit` and 1024.
  searchCorpus @5 (question :Text, limit :UInt32) -> (outcome :Outcome(SearchHits));
  # What a search on this node finds now; at most 64.
  changeCorpus @6 () -> (outcome :Outcome(CorpusChangeEntry));
  # Begins a change of this node's corpus. `overloaded` while too many are under way.
}

struct CorpusChangeEntry {
  change @0 :CorpusChange;
}

interface CorpusChange {
  # Collects what is to change. Dropped before `apply`, it has changed nothing. After a call that failed there is nothing else to
  # do with it.
  put @0 (documents :List(Document)) -> (outcome :Outcome(Done));
  # Each in the place of the one of its name, if there is one. All documents of a change have at most 64 MiB.
  remove @1 (names :List(Text)) -> (outcome :Outcome(Done));
  apply @2 () -> (outcome :Outcome(CorpusView));
  # All of it at once or not at all; returns when it is durable, and searches go by it. Changes are applied one after the other.
}

struct Opened {
  id @0 :Data;
  # 16 bytes. Whoever knows it may resume the conversation.
  conversation @1 :Conversation;
  turns @2 :UInt32;
  # Accepted so far.
  home @3 :Text;
  # The name of the node that writes its records.
}

interface Conversation {
  ask @0 (ask :Ask) -> (outcome :Outcome(Accepted));
  # The reply means that the question is durable. The same idempotency key gives the same turn again.
  follow @1 (turn :UInt32, from :UInt64, reader :EventReader) -> (outcome :Outcome(Followed));
  # Streams events with numbers from `from` on to `reader` and returns when the turn has ended. Dropping the call ends the
  # stream; if no reader is left, and the ask did not say keepIfUnread, that cancels the turn.
  cancel @2 (turn :UInt32) -> (outcome :Outcome(Done));
  # Returns when the turn's end is durable. A turn that has ended stays as it is.
  history @3 (from :UInt32, limit :UInt32) -> (outcome :Outcome(HistoryPage));
  # Turns from number `from` on, at most `limit` and at most 64, fewer if they are large; without token ids.
  explain @4 (turn :UInt32, tokens :Bool) -> (outcome :Outcome(Turn));
  # One turn with its attempts' plans. With `tokens`, also the prompts' token ids and what was emitted with log-probabilities.
  pin @5 (change :PinChange) -> (outcome :Outcome(Pins));
  # Changes what every later prompt of the conversation says word for word, and answers with all of it once that is durable. A
  # change may be repeated: what is pinned is not pinned twice.
}

interface EventReader {
  events @0 (events :List(TurnEvent)) -> stream;
  # At most 32, ascending.
  acknowledge @1 (number :UInt64) -> ();
  # Called after every 32 events, and after the last, with the number of the latest. The reader returns when it has dealt with
  # them: no more than 64 events are on their way to it.
}

struct Outcome(Value) {
  union {
    value @0 :Value;
    failure @1 :Failure;
  }
}

struct Failure {
  code @0 :Text;
  # "invalid_argument", "out_of_range", "not_found", "unsupported", "corrupt", "too_large", "overloaded", "unavailable",
  # "cancelled", "deadline_exceeded" or "io".
  message @1 :Text;
  # For a person: what was seen, what was expected, what to do.
}

struct Done {}

struct Accepted {
  turn @0 :UInt32;
  # From 1.
}

struct PinChange {
  union {
    none @0 :Void;
    # Only to know what is pinned.
    add @1 :Text;
    # One line, at most 256 bytes.
    remove @2 :Text;
    # As it was pinned.
  }
  madeFor @3 :UInt32;
  # One more than the version of the pins that it is made for; pins of another version are not changed, and the error is
  # `cancelled`. 0: whatever is pinned. A client that repeats a change over another node says it, so that the first request, if
  # it still arrives, does not bring back what has been removed since.
}

struct Pins {
  version @0 :UInt32;
  # Grows with every change. 0: nothing was ever pinned.
  texts @1 :List(Text);
  # In the order in which they were pinned; at most 16, of 1024 bytes together.
}

struct Followed {
  events @0 :UInt64;
  # How many were streamed.
}

enum Tier { mini @0; medium @1; heavy @2; }
enum Assurance { draft @0; standard @1; high @2; }
enum Priority { interactive @0; standard @1; batch @2; }
enum Grounding { automatic @0; never @1; always @2; }
enum NodeState { joining @0; serving @1; draining @2; gone @3; }

struct Sampling {
  temperature @0 :Float32;
  # 0: always the most likely token.
  topK @1 :Int32;
  # 0: all.
  topP @2 :Float32 = 1;
  minP @3 :Float32;
}

struct Ask {
  idempotencyKey @0 :Text;
  # At most 128 bytes. The same key in a conversation is the same turn, whatever else is asked.
  question @1 :Text;
  # At most 64 KiB of UTF-8.
  assurance @2 :Assurance = standard;
  priority @3 :Priority = interactive;
  grounding @4 :Grounding = automatic;
  tier :union {
    any @5 :Void;
    only @6 :Tier;
    # Answer with this one and no other.
  }
  sampling @7 :Sampling;
  # Greedy unless the assurance is draft.
  seed :union {
    drawn @8 :Void;
    given @9 :UInt64;
  }
  tokensMax @10 :Int32 = 256;
  # Of the answer.
  deadlineMs @11 :Int64 = 120000;
  # From acceptance.
  latencyBudgetMs @12 :Int64;
  # What the client hopes for. 0: no hurry.
  keepIfUnread @13 :Bool;
  # Go on when the last reader has left.
  tenant @14 :Text;
  # For whom it is routed; at most 64 bytes. Empty: nobody in particular.
}

struct Passage {
  # A section of the corpus, numbered from 1 by its place in the list.
  section @0 :Text;
  # "records-policy-2024-02-15#3.2"
  name @1 :Text;
  # "Records Policy §3.2"
}

struct TurnOutcome {
  committed @0 :Bool;
  # Otherwise the turn failed, and `failure` says why.
  answer @1 :Text;
  # As the model wrote it: "[1]" cites the first passage of the attempt's plan.
  citations @2 :List(Passage);
  # Of the answer, each once, by number.
  attempt @3 :Int32;
  # Whose answer it is.
  confidence @4 :Float64;
  # The product of the token probabilities.
  confident @5 :Bool;
  # Whether it reached what the policy asks.
  failure @6 :Failure;
  doubt @7 :Text;
  # Why it is not confident, for a person. Empty if it is.
  rule @8 :Text;
  # Of the policy, whose own words the answer is, "out of scope". No model was asked: `attempt` is -1, and there is no tier. Empty
  # if it is a model's.
}

struct TurnEvent {
  number @0 :UInt64;
  # Ascends within a turn, with gaps.
  union {
    accepted @1 :Text;
    # The question.
    attempt @2 :AttemptEvent;
    tokens @3 :TokensEvent;
    superseded @4 :SupersededEvent;
    committed @5 :CommittedEvent;
    # The last event of a turn that was answered.
    failed @6 :Failure;
    # The last event of any other.
  }
}

struct AttemptEvent {
  attempt @0 :Int32;
  # From 0.
  tier @1 :Tier;
  why @2 :Text;
}

struct TokensEvent {
  attempt @0 :Int32;
  firstIndex @1 :Int32;
  # Of the first token, counted from the answer's start.
  ids @2 :List(Int32);
  text @3 :Text;
}

struct SupersededEvent {
  attempt @0 :Int32;
  why @1 :Text;
}

struct CommittedEvent {
  outcome @0 :TurnOutcome;
  tier @1 :Tier;
  node @2 :Text;
  promptTokens @3 :Int32;
  # Of all attempts, as the next two.
  reusedTokens @4 :Int32;
  generatedTokens @5 :Int32;
  seconds @6 :Float64;
  # That engines worked for it.
}

struct ModelClass {
  # What decides a model's answers, bit for bit.
  fingerprint @0 :Text;
  # SHA-256 of the checkpoint, lower-case hexadecimal.
  numericClass @1 :Text;
  # "cpu-f32-v1"
}

struct AttemptPlan {
  attempt @0 :Int32;
  eventNumber @1 :UInt64;
  # Of its event; its tokens follow.
  tier @2 :Tier;
  why @3 :Text;
  rule @4 :Text;
  # Of the routing policy.
  model @5 :ModelClass;
  prompt @6 :List(Int32);
  # Token ids; empty unless asked for.
  sampling @7 :Sampling;
  seed @8 :UInt64;
  tokensMax @9 :Int32;
  confidenceMin @10 :Float64;
  # Below it the attempt is superseded, if there is a stronger tier.
  heldBack @11 :Bool;
  # Nothing is shown before its checks have passed.
  task @12 :Text;
  # "answer" or "chat".
  summaryVersion @13 :UInt32;
  # 0: none.
  firstTurn @14 :UInt32;
  # The oldest turn that is in the prompt verbatim. 0: none.
  passages @15 :List(Passage);
  corpusVersion @16 :Text;
  escalation @17 :List(Rung);
  # The tiers that may follow, ascending.
  secondOpinion @18 :Bool;
  # If it says the same as the unsure answer before it, it is confident.
  messages @19 :List(Message);
  # What a remote model reads; empty unless asked for.
  contextTokens @20 :Int32;
  # Estimate of the whole context by which the question was routed.
  price @21 :TokenPrice;
  pinsVersion @22 :UInt32;
  # 0: nothing was ever pinned.
  recalled @23 :List(MemoryEntry);
  # Of earlier summaries, joined to the one that it reads.
  leftOut @24 :List(LeftOut);
  uncitedMin @25 :Float64;
  # As its rung's.
  logProbabilitySumMin @26 :Float64 = -inf;
  # Below it the attempt stops, since its answer could not be confident any more. -infinity: it is completed.
}

struct MemoryEntry {
  line @0 :Text;
  # Of a summary: "User", "Answers", "Decided" or "Open"; empty is prose.
  text @1 :Text;
  turn @2 :UInt32;
  # The newest of those that it was written from.
}

struct LeftOut {
  # What a prompt could have had and has not, for a person: "turns 5 to 8", "no room in 1280 tokens".
  what @0 :Text;
  why @1 :Text;
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

struct Rung {
  tier @0 :Tier;
  confidenceMin @1 :Float64;
  # Below it the tier's answer is not enough.
  secondOpinion @2 :Bool;
  uncitedMin @3 :Float64;
  # The same of an answer from passages that cites none.
}

struct Emission {
  firstIndex @0 :Int32;
  ids @1 :List(Int32);
  logProbabilities @2 :List(Float32);
  # Natural logarithm, one for each id.
  text @3 :Text;
}

struct AttemptResult {
  emissions @0 :List(Emission);
  # Empty unless asked for.
  finishReason @1 :Text;
  confidence @2 :Float64;
  promptTokens @3 :Int32;
  reusedTokens @4 :Int32;
  generatedTokens @5 :Int32;
  seconds @6 :Float64;
  node @7 :Text;
  activeParameters @8 :UInt64;
  # That take part in a token: cost is this times the tokens computed.
  supersededWhy @9 :Text;
  # Empty if the attempt's answer stood.
  failedCheck @10 :Text;
  # What the answer did not pass, as a sentence; empty if it passed.
  cost @11 :Float64;
  # By the plan's price.
}

struct Attempt {
  plan @0 :AttemptPlan;
  result @1 :AttemptResult;
  # Null while it runs.
}

struct Turn {
  conversation @0 :Data;
  # 16 bytes.
  number @1 :UInt32;
  ask @2 :Ask;
  # With the seed that was drawn.
  acceptedMs @3 :Int64;
  # Since 1970, by the clock of the home; as endedMs.
  attempts @4 :List(Attempt);
  outcome @5 :TurnOutcome;
  # Null while it runs.
  endedMs @6 :Int64;
  kind @7 :Text;
  # How the question was classified. Empty if it was not.
  search @8 :Text;
  # What was searched for. Empty if nothing was.
  retrievalConfidence @9 :Float64 = -1;
  # How likely that search found all that an answer needs, 0 to 1. Negative if nothing was searched or found.
  kindConfidence @10 :Float64 = -1;
  # The probability of what it was classified as. Negative if it was not, or as nothing that is known.
  kindSaid @11 :Text;
  # What that was, if it was not sure enough to be `kind`.
  stages @12 :List(StageEntry);
  # What happened to its stages, in order.
}

enum Stage { intent @0; retrieval @1; reasoning @2; summary @3; }
enum Trouble { none @0; late @1; oversized @2; malformed @3; failed @4; }
enum Fallback {
  none @0; unknown @1; withoutPassages @2; refuse @3; escalate @4; quote @5; wait @6; keep @7; shorten @8; mark @9;
}

struct StageEntry {
  # Whether one stage of a turn kept its contract.
  stage @0 :Stage;
  attempt @1 :Int32 = -1;
  # Of reasoning: whose. -1: none was planned.
  promptTokens @2 :Int32;
  answerTokens @3 :Int32;
  milliseconds @4 :Int64;
  # That it took.
  trouble @5 :Trouble;
  fallback @6 :Fallback;
  # That was taken.
  why @7 :Text;
  # What was wrong. Empty if nothing was.
}

struct Summary {
  # Of the turns up to and including lastTurn.
  version @0 :UInt32;
  firstTurn @1 :UInt32;
  # What came before it is in the version before.
  lastTurn @2 :UInt32;
  text @3 :Text;
  tier @4 :Tier;
  model @5 :ModelClass;
  turns @6 :List(UInt32);
  # Of which turn each of the text's entries is, in its order; empty: not known.
  retired @7 :List(MemoryEntry);
  # Had to make room in this version, and hold still.
  withdrawn @8 :List(MemoryEntry);
  # Of the memory before this version: replaced, settled, or back in the text.
}

struct HistoryPage {
  turns @0 :List(Turn);
  summaries @1 :List(Summary);
  more @2 :Bool;
  # There are later turns.
}

struct Models {
  models @0 :List(ServedModel);
}

struct ServedModel {
  tier @0 :Tier;
  name @1 :Text;
  model @2 :ModelClass;
  parameters @3 :UInt64;
  activeParameters @4 :UInt64;
  contextMax @5 :Int32;
  # Tokens of prompt and answer.
  nodes @6 :List(Text);
  # Where it is served.
}

struct ReplicaView {
  index @0 :UInt32;
  # Within its node.
  tier @1 :Tier;
  modelName @2 :Text;
  model @3 :ModelClass;
  parameters @4 :UInt64;
  activeParameters @5 :UInt64;
  contextMax @6 :Int32;
  running @7 :Int32;
  waiting @8 :Int32;
  blocksTotal @9 :Int32;
  blocksFree @10 :Int32;
  # Neither used nor cached.
  blocksCached @11 :Int32;
  generatedTokens @12 :UInt64;
  # Since it started.
  promptTokens @13 :UInt64;
  reusedTokens @14 :UInt64;
  fault @15 :Text;
  # That it was given on purpose, as troupe node --fault says it. Empty: none.
}

struct LinkView {
  node @0 :Text;
  transport @1 :Text;
  # "nccl", "ucx", "local".
  # The best of those by which that node was found.
}

struct ExpertsView {
  modelName @0 :Text;
  model @1 :ModelClass;
  wordsPerLayer @2 :UInt32;
  words @3 :List(UInt64);
  # The experts that it answers for, as bits, expert 0 the lowest of a layer's first word: equally many words for each layer,
  # from layer 0. At most 65536 words.
  expertsTotal @4 :Int64;
  # Of the model.
  expertBytes @5 :UInt64;
  # That one expert takes where it is loaded.
  load @6 :Int64;
  # Works that wait or are computed.
  placement @7 :UInt64;
  # Digest of the placement that the node was started with: equal where nodes agree.
}

struct StageCounts {
  # How often a stage kept its contract, and how often not, since the node started.
  held @0 :UInt64;
  late @1 :UInt64;
  oversized @2 :UInt64;
  malformed @3 :UInt64;
  failed @4 :UInt64;
}

struct BlockTraffic {
  # KV blocks that were not computed where they were used; counted since the node started.
  fetchedBlocks @0 :UInt64;
  # From other nodes.
  fetchedBytes @1 :UInt64;
  restoredBlocks @2 :UInt64;
  # From the node's own host memory or disk.
  wrongBlocks @3 :UInt64;
  # Came, did not verify, and were computed again.
  lentBlocks @4 :UInt64;
  # To other nodes.
  hostBytes @5 :UInt64;
  # Of evicted blocks, now.
  diskBytes @6 :UInt64;
}

struct NodeView {
  id @0 :Text;
  incarnation @1 :UInt64;
  # Grows each time that the node starts.
  state @2 :NodeState;
  clusterAddress @3 :Text;
  # "host:port"
  clientAddress @4 :Text;
  leases @5 :Bool;
  # It grants the leases.
  version @6 :Text;
  conversations @7 :Int32;
  # Awake there.
  turns @8 :Int32;
  # Running there.
  corpusVersion @9 :Text;
  # Empty: no corpus.
  corpusSections @10 :Int32;
  replicas @11 :List(ReplicaView);
  conversationsStored @12 :Int32;
  # Whose records are there, awake or asleep.
  links @13 :List(LinkView);
  # The nodes that it has found at the end of a transport, ascending.
  experts @14 :List(ExpertsView);
  # One for each model that it has on its disk to load experts from.
  expertBytesFree @15 :UInt64;
  # For more experts.
  expertsAlone @16 :Int64;
  # That only this node holds, as far as it knows.
  blocks @17 :BlockTraffic;
  contracts @18 :List(StageCounts);
  # Of intent, retrieval, reasoning and summary, in this order.
}

struct ClusterView {
  id @0 :Data;
  # 16 bytes.
  self @1 :Text;
  # The node that answers.
  nodes @2 :List(NodeView);
  # Ascending by id.
}

struct ShadowQuery {
  from @0 :UInt64;
  # The least number.
  limit @1 :UInt32;
  # At most 256 are answered, with texts 64.
  experiment @2 :Text;
  # Only this one. Empty: all.
  sinceMs @3 :Int64;
  # Only those whose end was known then or later; since 1970.
  texts @4 :Bool;
  # With the question and both texts.
}

struct ShadowAnswer {
  tiers @0 :List(Tier);
  # That were asked, one for each attempt.
  text @1 :Text;
  # Empty unless asked for.
  citations @2 :List(Text);
  # Sections, by number.
  confidence @3 :Float64;
  confident @4 :Bool;
  # It reached what its policy asks.
  doubt @5 :Text;
  # Why it is not confident. Empty if it is.
  failedCheck @6 :Text;
  # What its last attempt did not pass. Empty if it passed.
  cost @7 :Float64;
  # Of all attempts, by the price of its policy.
  computed @8 :Float64;
  # Active parameters times tokens that all attempts computed.
  engineMs @9 :Int64;
  # That attempts were with engines.
  wholeMs @10 :Int64;
  # From acceptance (a shadow's: from when it was begun) to its end.
}

struct ShadowRecord {
  enum Fate { compared @0; failed @1; dropped @2; }
  number @0 :UInt64;
  # Its place in the node's log; ascends with time.
  experiment @1 :Text;
  conversation @2 :Data;
  # 16 bytes.
  turn @3 :UInt32;
  atMs @4 :Int64;
  # Since 1970, by the clock of the turn's home.
  question @5 :Text;
  # Empty unless asked for.
  fate @6 :Fate;
  why @7 :Text;
  # If it was not compared.
  client @8 :ShadowAnswer;
  shadow @9 :ShadowAnswer;
  sameText @10 :Bool;
  sameCitations @11 :Bool;
  sameValues @12 :Bool;
}

struct RunningShadow {
  name @0 :Text;
  share @1 :Float64;
  says @2 :Text;
  # What it does, for a person.
}

struct ShadowPage {
  records @0 :List(ShadowRecord);
  # Ascending by number.
  next @1 :UInt64;
  # Where to go on, if there is more.
  more @2 :Bool;
  running @3 :List(RunningShadow);
  # The experiments of the node now.
}

struct Section {
  key @0 :Text;
  # "records-policy-2024-02-15#3.2": the document's name, "#", and what stays as long as the section does.
  name @1 :Text;
  # "Records Policy (2024-02-15) §3.2"
  text @2 :Text;
  # One line, at most 64 KiB.
  heading @3 :Text;
  # If the name does not say it: searched, but in no prompt.
}

struct Document {
  name @0 :Text;
  contentHash @1 :Text;
  # Of its file: SHA-256, hexadecimal.
  sections @2 :List(Section);
  continues @3 :Bool;
  # The sections follow on those of the last document of the call before, which has this name: a document may be larger than a
  # frame.
}

struct DocumentEntry {
  name @0 :Text;
  contentHash @1 :Text;
  # Empty: not known.
  sections @2 :UInt32;
}

struct DocumentPage {
  version @0 :Text;
  # Of the corpus; pages of two versions do not belong together. Empty: there is none.
  documents @1 :List(DocumentEntry);
  more @2 :Bool;
  # There are further ones.
}

struct CorpusView {
  node @0 :Text;
  # Whose corpus it is.
  version @1 :Text;
  documents @2 :UInt32;
  sections @3 :UInt32;
}

struct SearchHit {
  section @0 :Section;
  via @1 :Text;
  # The key of the section from which a second search found it. Empty: the first one did.
}

struct SearchHits {
  hits @0 :List(SearchHit);
  # The best first.
  covered @1 :Float64;
  # What can be seen of the search, as the following; policy/retrieval.hpp says of what each is a share.
  bestCovers @2 :Float64;
  unknown @3 :Float64;
  pairs @4 :Float64;
  lead @5 :Float64;
  bridge @6 :Float64;
}
