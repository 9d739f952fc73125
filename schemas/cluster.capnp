# What nodes say to each other: one struct for each message of cluster_messages.hpp, which says when they are sent.
#
# A message is the root of its own Cap'n Proto message, at most 16 MiB long. Neighbouring versions understand each other: fields
# are only ever added, numbers are never reused, and what an older version does not send reads as the field's default. A change
# that this cannot express is a new protocol number, which the handshake (`Hello`) compares.
#
# A node is named by the text that its operator gave it, at most 1024 bytes. Durations are in milliseconds, for no two nodes'
# clocks agree on a time. An epoch of 0 means that the sender knows of none yet.
@0xd7c41a546e21c618;

using Cxx = import "/capnp/c++.capnp";
using Records = import "records.capnp";
$Cxx.namespace("troupe::schemas::cluster");

struct TurnId {
  conversation @0 :Records.Name128;
  number @1 :UInt32;
  # The first of a conversation is 1.
}

# Joining.

enum NodeState {
  joining @0;
  serving @1;
  draining @2;
  gone @3;
}

struct ReplicaView {
  index @0 :UInt32;
  # Within its node.
  tier @1 :Records.Tier;
  modelName @2 :Text;
  model @3 :Records.ModelClass;
  parameters @4 :UInt64;
  activeParameters @5 :UInt64;
  # Those that take part in a token.
  contextMax @6 :Int32;
  # Tokens of prompt and answer together.
  running @7 :Int32;
  # Sequences.
  waiting @8 :Int32;
  blocksTotal @9 :Int32;
  # KV blocks of 16 positions.
  blocksFree @10 :Int32;
  # Neither used nor cached.
  blocksCached @11 :Int32;
  generatedTokens @12 :UInt64;
  # Since the replica started, as are the next two.
  promptTokens @13 :UInt64;
  reusedTokens @14 :UInt64;
  # Those of the prompts that came from the cache.
  blockRoot @15 :Records.Name128;
  # Where the names of its KV blocks begin; all zeroes: its blocks do not move.
  fault @16 :Text;
  # That it was given on purpose; empty: none.
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

struct TransportView {
  name @0 :Text;
  # "nccl", "ucx", "local". A node uses those that it knows.
  address @1 :Data;
  # At most 4096 bytes, opaque: for the fabric at the other end.
  scope @2 :Text;
  # It reaches those with the same; empty: everybody.
}

struct LinkView {
  node @0 :Text;
  transport @1 :Text;
  # The best of those by which that node was found.
}

struct ExpertsView {
  modelName @0 :Text;
  model @1 :Records.ModelClass;
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

struct NodeView {
  id @0 :Text;
  incarnation @1 :UInt64;
  # Grows each time that the node starts.
  state @2 :NodeState;
  clusterAddress @3 :Text;
  # "host:port" where other nodes connect.
  clientAddress @4 :Text;
  # "host:port" where clients connect.
  leases @5 :Bool;
  # Whether the node grants the leases.
  version @6 :Text;
  # Of the program, for a person.
  conversations @7 :Int32;
  # Awake there.
  turns @8 :Int32;
  # Running there.
  corpusVersion @9 :Text;
  # Empty: the node has no corpus.
  corpusSections @10 :Int32;
  replicas @11 :List(ReplicaView);
  # At most 64.
  conversationsStored @12 :Int32;
  # Whose records are there, awake or asleep.
  transports @13 :List(TransportView);
  # That it offers, at most 8.
  links @14 :List(LinkView);
  # The nodes that it has found at the end of a transport, ascending, at most 1024.
  experts @15 :List(ExpertsView);
  # One for each model that it has on its disk to load experts from, at most 64.
  expertBytesFree @16 :UInt64;
  # For more experts.
  expertsAlone @17 :Int64;
  # That only this node holds, as far as it knows.
  blocks @18 :BlockTraffic;
  contracts @19 :List(StageCounts);
  # Of intent, retrieval, reasoning and summary, in this order.
}

struct Hello {
  protocol @0 :UInt32;
  # Any number decodes; the handshake refuses what it does not speak.
  cluster @1 :Records.Name128;
  # All zeroes: a new node, which takes the other's.
  node @2 :NodeView;
}

struct Welcome {
  cluster @0 :Records.Name128;
  nodes @1 :List(NodeView);
  # All that the answering node knows, itself included; at most 1024.
  node @2 :Text;
  # Which of them is answering.
}

struct Announce {
  node @0 :NodeView;
}

# Taking a node out of the cluster's work, and back in. Both are answered with an Announce of the node.

struct NodeDrain {
  # To the node that grants the leases, which refuses it or passes it on to the node that is meant.
  node @0 :Text;
}

struct ExpertLoad {
  # To any node: it is to load these experts of a model, from its disk, and to answer for them.
  model @0 :Records.ModelClass;
  wordsPerLayer @1 :UInt32;
  words @2 :List(UInt64);
  # As in ExpertsView.
}

struct ExpertLoaded {
  model @0 :Records.ModelClass;
  wordsPerLayer @1 :UInt32;
  words @2 :List(UInt64);
}

struct NodeJoin {
  node @0 :Text;
  # The one that receives it.
}

# Leases.

struct LeaseKeep {
  node @0 :Text;
  incarnation @1 :UInt64;
}

struct LeaseKept {
  validMs @0 :Int64;
  # Milliseconds from when the request was sent, by the clock of the node that sent it.
}

struct LeaseAcquire {
  # Answered with a LeaseGrant; one that names another node is none for the asking one.
  conversation @0 :Records.Name128;
  node @1 :Text;
  incarnation @2 :UInt64;
  create @3 :Bool;
  # Whether the conversation is new.
  after @4 :UInt64;
  # The epoch must be greater than this one, which is void.
}

struct LeaseMove {
  # Answered with a LeaseGrant.
  conversation @0 :Records.Name128;
  from @1 :Text;
  # The home, which is asking.
  incarnation @2 :UInt64;
  # Of the home.
  epoch @3 :UInt64;
  # Under which it is home; the grant has the next.
  to @4 :Text;
}

struct LeaseGrant {
  home @0 :Text;
  # The name of the node where the conversation is at home.
  epoch @1 :UInt64;
}

struct LeaseLocate {
  conversation @0 :Records.Name128;
}

# To a conversation's home.

struct HomeOpen {
  conversation @0 :Records.Name128;
  create @1 :Bool;
}

struct HomeOpened {
  epoch @0 :UInt64;
  turns @1 :UInt32;
  # Accepted so far.
}

struct HomeAsk {
  conversation @0 :Records.Name128;
  epoch @1 :UInt64;
  ask @2 :Records.Ask;
}

struct HomeAccepted {
  turn @0 :UInt32;
}

struct ReaderId {
  node @0 :Text;
  number @1 :UInt64;
  # The node gave it.
}

struct HomeMore {
  turn @0 :TurnId;
  epoch @1 :UInt64;
  reader @2 :ReaderId;
  from @3 :UInt64;
  # The number of the first event asked for.
  credit @4 :UInt32;
  # How many events from there on may be sent; 0: none, but the reader is still there.
  again @5 :Bool;
  # What was sent before is taken for lost, and is to be sent once more.
}

struct HomeLeave {
  turn @0 :TurnId;
  reader @1 :ReaderId;
  abandoned @2 :Bool;
  # The reader's client went away, so the turn may be cancelled.
}

struct HomeCancel {
  turn @0 :TurnId;
  epoch @1 :UInt64;
}

struct HomeHistory {
  conversation @0 :Records.Name128;
  epoch @1 :UInt64;
  from @2 :UInt32;
  # The number of the first turn asked for.
  limit @3 :UInt32;
  # Turns.
}

struct HomeHistoryPage {
  turns @0 :List(Records.Turn);
  # Ascending, their plans without prompts; at most 1024.
  summaries @1 :List(Records.Summary);
  # At most 65536.
  more @2 :Bool;
  # There are later turns.
}

struct CopiedRecord {
  place @0 :Data;
  # The record's key in the store, without tenant and conversation (storage/copies.hpp); at most 1024 bytes.
  value @1 :Data;
}

struct HomeTake {
  # From a home to the node that becomes home: some of a conversation's records, as they are in the store.
  conversation @0 :Records.Name128;
  from @1 :Text;
  epoch @2 :UInt64;
  # Of the home that sends it. What comes under an older one than the receiver has seen is refused.
  begin @3 :Data;
  # The first place of the piece's range; empty: the first piece.
  end @4 :Data;
  # The place behind the last; empty: the last piece.
  records @5 :List(CopiedRecord);
  # All that are in the range, ascending; at most 4096.
}

struct HomeTaken {
  conversation @0 :Records.Name128;
  # Of which the piece is durable.
}

struct HomeHandOver {
  # The lease has moved to the receiver, which has all records.
  conversation @0 :Records.Name128;
  epoch @1 :UInt64;
  # The new one.
  turn @2 :UInt32;
  # Whose attempt runs; 0: none does.
  node @3 :Text;
  # Where it runs, or ran last; empty: nowhere yet.
  replica @4 :UInt32;
  # Within that node.
}

struct HomeTurn {
  # Answered with a Records.Turn.
  turn @0 :TurnId;
  epoch @1 :UInt64;
}

struct HomePin {
  conversation @0 :Records.Name128;
  epoch @1 :UInt64;
  kind @2 :Kind;
  text @3 :Text;
  # To be pinned or no longer.
  madeFor @4 :UInt32;
  # One more than the version of the pins that it is made for; 0: any.

  enum Kind { none @0; add @1; remove @2; }
}

struct HomePins {
  # Durable when it is sent.
  pins @0 :Records.Pins;
}

# From a home to a reader.

struct TurnEvent {
  number @0 :UInt64;
  # Ascends through a turn, with gaps.
  union {
    accepted :group {
      question @1 :Text;
    }
    attempt :group {
      number @2 :Int32;
      # 0, 1, ... within the turn, as in the events below.
      tier @3 :Records.Tier;
      why @4 :Text;
      # For a person.
    }
    tokens :group {
      attempt @5 :Int32;
      firstIndex @6 :Int32;
      # Of the first token, counted from the answer's start.
      ids @7 :List(Int32);
      text @8 :Text;
      # What the detokenizer gave for them.
    }
    superseded :group {
      attempt @9 :Int32;
      why @10 :Text;
    }
    committed :group {
      outcome @11 :Records.Outcome;
      tier @12 :Records.Tier;
      node @13 :Text;
      promptTokens @14 :Int32;
      # Of all attempts, as are the next two.
      reusedTokens @15 :Int32;
      generatedTokens @16 :Int32;
      seconds @17 :Float64;
      # That engines worked for the turn.
    }
    failed :group {
      code @18 :Text;
      # An error code's name, or another word for why the turn ended: "cancelled", "unavailable".
      message @19 :Text;
    }
  }
}

struct ReaderEvents {
  reader @0 :UInt64;
  # The number that its node gave.
  turn @1 :TurnId;
  from @2 :UInt64;
  # Nothing is missing between this number and the first event's.
  events @3 :List(TurnEvent);
  # Ascending; at most 65536.
}

enum ErrorCode {
  # As base/result.hpp has them.
  invalidArgument @0;
  outOfRange @1;
  notFound @2;
  unsupported @3;
  corrupt @4;
  tooLarge @5;
  overloaded @6;
  unavailable @7;
  cancelled @8;
  deadlineExceeded @9;
  io @10;
}

struct ReaderFailed {
  reader @0 :UInt64;
  turn @1 :TurnId;
  code @2 :ErrorCode;
  message @3 :Text;
  # For a person.
}

# To an engine, and back to the home.

enum Purpose {
  # What generation serves.
  answer @0;
  classify @1;
  rewrite @2;
  summarize @3;
  shadow @4;
  # An answer that no client sees.
}

enum Task {
  # Which prompt an answer is asked for with.
  answer @0;
  # From the numbered passages.
  chat @1;
  # From the conversation so far.
}

struct Exchange {
  question @0 :Text;
  answer @1 :Text;
  # Its citations resolved to names, for their numbers mean something only within one prompt.
}

struct PassageText {
  name @0 :Text;
  # As a client sees it.
  text @1 :Text;
}

struct EnginePrepare {
  purpose @0 :Purpose;
  task @1 :Task;
  summary @2 :Text;
  # Of what came before `recent`; empty: none.
  recent @3 :List(Exchange);
  # Oldest first; at most 4096.
  passages @4 :List(PassageText);
  # The best first, numbered from 1 by their place; at most 256.
  question @5 :Text;
  tokensMax @6 :Int32;
  # Of the prompt.
  instruction @7 :Text;
  # What a model is told that classifies; empty: as the bundled models are.
}

struct EnginePrepared {
  prompt @0 :List(Int32);
  # Token ids, at most 1048576.
  passages @1 :List(UInt32);
  # Places, from 0 and ascending, of those of the passages sent that fit.
  recentLeftOut @2 :UInt32;
  # How many of the exchanges sent did not fit, the oldest.
  model @3 :Records.ModelClass;
  contextMax @4 :Int32;
  # Tokens of prompt and answer together; of a remote model, of the answer alone.
  messages @5 :List(Records.Message);
  # What a remote model reads, which takes no tokens; at most 8192.
}

struct AttemptKey {
  turn @0 :TurnId;
  purpose @1 :Purpose;
  attempt @2 :Int32;
  # 0, 1, ... within the turn; each purpose counts its own.
}

struct EngineRequest {
  # All that the generated tokens depend on, and how urgent they are.
  prompt @0 :List(Int32);
  # Token ids, at most 1048576.
  sampling @1 :Records.Sampling;
  seed @2 :UInt64;
  tokensMax @3 :Int32;
  # Of the answer.
  priority @4 :Records.Priority;
  messages @5 :List(Records.Message);
  # For a remote model, instead of the prompt; at most 8192.
  logProbabilitySumMin @6 :Float64 = -inf;
  # The sequence ends where the sum of its tokens' log-probabilities is below this. At most 0; -infinity: never.
}

struct EngineGenerate {
  key @0 :AttemptKey;
  epoch @1 :UInt64;
  # Of the home's lease; an older one than the engine has seen for this key is ignored.
  home @2 :Text;
  # The name of the node that is told.
  model @3 :Records.ModelClass;
  # Must be the engine's.
  fromIndex @4 :Int32;
  # The first token that the home does not have, counted from the answer's start.
  timeLeftMs @5 :Int64;
  # Until the turn's deadline.
  request @6 :EngineRequest;
  known @7 :List(Records.Emission);
  # The answer's beginning, where an attempt that ran elsewhere is placed anew; at most 65536.
  onlyKnown @8 :Bool;
  # An engine that does not have the attempt must not begin it.
}

struct EngineRelease {
  key @0 :AttemptKey;
  epoch @1 :UInt64;
}

struct EngineEmissions {
  key @0 :AttemptKey;
  emissions @1 :List(Records.Emission);
  # Ascending; at most 65536.
}

struct EngineFinished {
  key @0 :AttemptKey;
  emissions @1 :Int32;
  # How many there were in all, so that the home knows whether it has them.
  result @2 :Records.AttemptResult;
  # Without emissions.
  error :union {
    none @3 :Void;
    code @4 :ErrorCode;
  }
  message @5 :Text;
  # Of the error, for a person.
}

# Between KV shards. The names of blocks stand one after another, 16 bytes each.

struct KvHoldings {
  # What a node's pools hold.
  node @0 :Text;
  all @1 :Bool;
  # What was said before is void.
  come @2 :Data;
  # At most 65536 names, as in the next list.
  gone @3 :Data;
}

struct KvLease {
  node @0 :Text;
  # Who asks.
  model @1 :Records.ModelClass;
  chain @2 :Data;
  # At most 16384 names, as blocks follow each other in a sequence.
  validMs @3 :Int64;
}

struct KvLeased {
  lease @0 :UInt64;
  regionKey @1 :Data;
  # As the node's fabric made it; at most 1024 bytes.
  regionBytes @2 :UInt64;
  blockBytes @3 :UInt64;
  offsets @4 :List(UInt64);
  # Within the region, of as many of the first blocks as are there.
  checksums @5 :List(UInt64);
}

struct KvRelease {
  node @0 :Text;
  lease @1 :UInt64;
}
