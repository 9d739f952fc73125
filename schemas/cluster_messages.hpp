// What nodes say to each other, as plain values. Between nodes each travels as its Cap'n Proto encoding (cluster.capnp), so
// that neighbouring versions understand each other; within a node it travels as it is. No message carries an actor's handle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/block.hpp"
#include "policy/cluster_view.hpp"
#include "policy/context.hpp"
#include "policy/pins.hpp"
#include "policy/turn.hpp"

namespace troupe::schemas {

/// Nodes of other protocol versions are refused at the handshake.
inline constexpr std::uint32_t cluster_protocol = 2;
/// Of one encoded message; more is refused before it is parsed.
inline constexpr std::size_t cluster_message_bytes_max = std::size_t{16} << 20;

// Joining.

struct Hello {
  std::uint32_t protocol = cluster_protocol;
  policy::ClusterId cluster;  ///< empty: a new node, which takes the other's
  policy::NodeView node;      ///< who is speaking
};
struct Welcome {
  policy::ClusterId cluster;
  std::vector<policy::NodeView> nodes;  ///< all that the answering node knows, itself included
  policy::NodeId node;                  ///< which of them is answering
};
/// Sent to every peer several times a second; silence is how a node is missed.
struct Announce {
  policy::NodeView node;
};

// Taking a node out of the cluster's work, and back in. Both are answered with an Announce of the node.

/// To the node that grants the leases: it decides one after the other, and passes on to the node that is meant what may be.
struct NodeDrain {
  policy::NodeId node;
};
/// To the node itself.
struct NodeJoin {
  policy::NodeId node;
};

// Experts.

/// To any node: it is to load these experts, of a model that it has on its disk, and to answer for them.
struct ExpertLoad {
  policy::ModelClass model;
  policy::ExpertSelection experts;
};
/// It answers for them now.
struct ExpertLoaded {
  policy::ModelClass model;
  policy::ExpertSelection experts;
};

// Leases. A node holds a session; the homes of conversations hang on it.

struct LeaseKeep {
  policy::NodeId node;
  std::uint64_t incarnation = 0;
};
struct LeaseKept {
  std::int64_t valid_ms = 0;  ///< from when the request was sent
};
/// Answered with the grant; one that names another node says that the conversation is at home there.
struct LeaseAcquire {
  policy::ConversationId conversation;
  policy::NodeId node;
  std::uint64_t incarnation = 0;
  bool create = false;      ///< the conversation is new
  std::uint64_t after = 0;  ///< the epoch must be greater than this one, which is void
};
/// From a home that has given all records to another node. Answered with the grant, under the next epoch; may be repeated.
struct LeaseMove {
  policy::ConversationId conversation;
  policy::NodeId from;
  std::uint64_t incarnation = 0;
  std::uint64_t epoch = 0;
  policy::NodeId to;
};
/// Where a conversation is at home.
struct LeaseGrant {
  policy::NodeId home;
  std::uint64_t epoch = 0;
};
struct LeaseLocate {
  policy::ConversationId conversation;
};

// To a conversation's home. `epoch` is what the sender knows of its lease; 0: nothing yet.

struct HomeOpen {
  policy::ConversationId conversation;
  bool create = false;
};
struct HomeOpened {
  std::uint64_t epoch = 0;
  std::uint32_t turns = 0;
};
struct HomeAsk {
  policy::ConversationId conversation;
  std::uint64_t epoch = 0;
  policy::Ask ask;
};
struct HomeAccepted {
  std::uint32_t turn = 0;
};
/// Who reads: a number that the reader's node gave.
struct ReaderId {
  policy::NodeId node;
  std::uint64_t number = 0;
  friend auto operator<=>(const ReaderId&, const ReaderId&) = default;
};
/// Asks for events from number `from` on, `credit` of them at most, of which some may be on their way; unless `again` is set:
/// then they are taken for lost. Replaces what the reader asked for before, so that it may be repeated. A credit of 0 says only
/// that the reader is still there.
struct HomeMore {
  policy::TurnId turn;
  std::uint64_t epoch = 0;
  ReaderId reader;
  std::uint64_t from = 0;
  std::uint32_t credit = 0;
  bool again = false;
};
/// The reader is no longer interested. `abandoned`: its client went away, so the turn may be cancelled.
struct HomeLeave {
  policy::TurnId turn;
  ReaderId reader;
  bool abandoned = false;
};
struct HomeCancel {
  policy::TurnId turn;
  std::uint64_t epoch = 0;
};
struct HomeHistory {
  policy::ConversationId conversation;
  std::uint64_t epoch = 0;
  std::uint32_t from = 1;
  std::uint32_t limit = 0;
};
struct HomeHistoryPage {
  std::vector<policy::Turn> turns;  ///< plans without their prompts
  std::vector<policy::Summary> summaries;
  bool more = false;
};
struct HomeTurn {
  policy::TurnId turn;
  std::uint64_t epoch = 0;
};

struct HomePin {
  policy::ConversationId conversation;
  std::uint64_t epoch = 0;
  policy::PinChange change;
};
struct HomePins {
  policy::Pins pins;
};

// From a home to the node that becomes home.

/// Records of a conversation, as storage/copies.hpp has them: all whose places are in [begin, end). Kept as a copy until the
/// lease has moved. May come late, twice and in any order; the first piece, whose `begin` is empty, must be there before
/// others.
struct HomeTake {
  policy::ConversationId conversation;
  policy::NodeId from;
  std::uint64_t epoch = 0;
  std::string begin;
  std::string end;  ///< empty: the last piece
  std::vector<std::pair<std::string, std::string>> records;
};
/// The piece is durable.
struct HomeTaken {
  policy::ConversationId conversation;
};
/// The lease has moved to whoever receives this. Only a hint: without it, a reader or a look at the lease does the same later.
struct HomeHandOver {
  policy::ConversationId conversation;
  std::uint64_t epoch = 0;
  std::uint32_t turn = 0;     ///< whose attempt runs; 0: none does
  policy::NodeId node;        ///< where it runs, or ran last; empty: nowhere yet
  std::uint32_t replica = 0;  ///< within that node
};

// From a home to a reader.

struct ReaderEvents {
  std::uint64_t reader = 0;  ///< the number that its node gave
  policy::TurnId turn;
  std::uint64_t from = 0;  ///< nothing is missing between this number and the first event's
  std::vector<policy::TurnEvent> events;
};
struct ReaderFailed {
  std::uint64_t reader = 0;
  policy::TurnId turn;
  ErrorCode code = ErrorCode::unavailable;
  std::string message;
};

// To an engine, and back to the home.

/// What generation serves. Each purpose counts its own attempts. A `shadow` is an answer that no client sees, and is prepared
/// as one.
enum class Purpose : std::uint8_t { answer, classify, rewrite, summarize, shadow };
/// Asks a model what it would see: messages become tokens by its own template and tokenizer, under a budget. Purposes other
/// than `answer` read of the parts what they need: instruction and question; recent exchanges and the question; summary and
/// recent exchanges.
struct EnginePrepare {
  Purpose purpose = Purpose::answer;
  policy::ContextParts parts;
  std::int32_t tokens_max = 0;  ///< of the prompt
};
struct EnginePrepared {
  policy::TokenIds prompt;
  std::vector<std::uint32_t> passages;  ///< places of those of the parts' that fit, ascending
  std::uint32_t recent_left_out = 0;    ///< of the parts' recent exchanges, the oldest
  policy::ModelClass model;
  std::int32_t context_max = 0;           ///< tokens of prompt and answer; of a remote model, of the answer alone
  std::vector<policy::Message> messages;  ///< what a remote model reads, which takes no tokens
};
struct AttemptKey {
  policy::TurnId turn;
  Purpose purpose = Purpose::answer;
  std::int32_t attempt = 0;
  friend auto operator<=>(const AttemptKey&, const AttemptKey&) = default;
};
struct EngineRequest {
  policy::TokenIds prompt;
  policy::Sampling sampling;
  std::uint64_t seed = 0;
  std::int32_t tokens_max = 0;
  policy::Priority priority = policy::Priority::standard;
  std::vector<policy::Message> messages;                                      ///< for a remote model, instead of the prompt
  double log_probability_sum_min = -std::numeric_limits<double>::infinity();  ///< as engine::GenerateRequest's
  friend bool operator==(const EngineRequest&, const EngineRequest&) = default;
};
/// Starts an attempt, or, if the engine has it already, sends again what follows `from_index`. May be repeated.
/// An attempt that has begun elsewhere goes on from `known`.
struct EngineGenerate {
  AttemptKey key;
  std::uint64_t epoch = 0;   ///< of the home's lease; an older one than the engine has seen for this key is ignored
  policy::NodeId home;       ///< who is told
  policy::ModelClass model;  ///< must be the engine's
  std::int32_t from_index = 0;
  std::int64_t time_left_ms = 0;  ///< until the turn's deadline
  EngineRequest request;
  std::vector<policy::Emission> known;  ///< all that the home has, if it places the attempt anew; otherwise none
  /// An engine that does not have the attempt says `not_found`: one of a remote model is begun once, for another beginning
  /// would be another answer.
  bool only_known = false;
};
/// Forgets an attempt, ending it if it runs.
struct EngineRelease {
  AttemptKey key;
  std::uint64_t epoch = 0;
};
struct EngineEmissions {
  AttemptKey key;
  std::vector<policy::Emission> emissions;
};
struct EngineFinished {
  AttemptKey key;
  std::int32_t emissions = 0;    ///< how many there were in all, so that the home knows whether it has them
  policy::AttemptResult result;  ///< without emissions
  std::optional<ErrorCode> error;
  std::string message;
};

// Between KV shards.

inline constexpr std::size_t kv_holdings_max = 65536;  ///< blocks that one message names as come, or gone
inline constexpr std::size_t kv_chain_max = 16384;     ///< blocks that are leased at once

/// What a node's pools hold. Soft state: what is lost or late costs a question in vain, or a computation.
struct KvHoldings {
  policy::NodeId node;
  bool all = false;  ///< forget what was said before: `come` begins a new list
  std::vector<policy::BlockId> come;
  std::vector<policy::BlockId> gone;
};
/// Asks a node to keep the first of these blocks where they are, for a while, so that they can be read.
struct KvLease {
  policy::NodeId node;  ///< who asks
  policy::ModelClass model;
  std::vector<policy::BlockId> chain;  ///< as they follow each other
  std::int64_t valid_ms = 0;
};
struct KvLeasedBlock {
  std::uint64_t offset = 0;  ///< within the region
  std::uint64_t checksum = 0;
  friend bool operator==(const KvLeasedBlock&, const KvLeasedBlock&) = default;
};
/// As many of the first blocks as are there.
struct KvLeased {
  std::uint64_t lease = 0;
  std::string region_key;  ///< as the node's fabric made it
  std::uint64_t region_bytes = 0;
  std::uint64_t block_bytes = 0;
  std::vector<KvLeasedBlock> blocks;
};
/// Nobody reads them any more.
struct KvRelease {
  policy::NodeId node;
  std::uint64_t lease = 0;
};

// One pair for each of the above. Decoding fails as `corrupt` or `too_large`, and names the field.

#define TROUPE_CLUSTER_MESSAGE(Type)     \
  std::string encode(const Type& value); \
  Result<void> decode(std::string_view bytes, Type& value)

TROUPE_CLUSTER_MESSAGE(Hello);
TROUPE_CLUSTER_MESSAGE(Welcome);
TROUPE_CLUSTER_MESSAGE(Announce);
TROUPE_CLUSTER_MESSAGE(LeaseKeep);
TROUPE_CLUSTER_MESSAGE(LeaseKept);
TROUPE_CLUSTER_MESSAGE(LeaseAcquire);
TROUPE_CLUSTER_MESSAGE(LeaseGrant);
TROUPE_CLUSTER_MESSAGE(LeaseLocate);
TROUPE_CLUSTER_MESSAGE(HomeOpen);
TROUPE_CLUSTER_MESSAGE(HomeOpened);
TROUPE_CLUSTER_MESSAGE(HomeAsk);
TROUPE_CLUSTER_MESSAGE(HomeAccepted);
TROUPE_CLUSTER_MESSAGE(HomeMore);
TROUPE_CLUSTER_MESSAGE(HomeLeave);
TROUPE_CLUSTER_MESSAGE(HomeCancel);
TROUPE_CLUSTER_MESSAGE(HomeHistory);
TROUPE_CLUSTER_MESSAGE(HomeHistoryPage);
TROUPE_CLUSTER_MESSAGE(HomeTurn);
TROUPE_CLUSTER_MESSAGE(HomePin);
TROUPE_CLUSTER_MESSAGE(HomePins);
TROUPE_CLUSTER_MESSAGE(policy::Turn);
TROUPE_CLUSTER_MESSAGE(ReaderEvents);
TROUPE_CLUSTER_MESSAGE(ReaderFailed);
TROUPE_CLUSTER_MESSAGE(EnginePrepare);
TROUPE_CLUSTER_MESSAGE(EnginePrepared);
TROUPE_CLUSTER_MESSAGE(EngineGenerate);
TROUPE_CLUSTER_MESSAGE(EngineRelease);
TROUPE_CLUSTER_MESSAGE(EngineEmissions);
TROUPE_CLUSTER_MESSAGE(EngineFinished);
TROUPE_CLUSTER_MESSAGE(NodeDrain);
TROUPE_CLUSTER_MESSAGE(NodeJoin);
TROUPE_CLUSTER_MESSAGE(ExpertLoad);
TROUPE_CLUSTER_MESSAGE(ExpertLoaded);
TROUPE_CLUSTER_MESSAGE(LeaseMove);
TROUPE_CLUSTER_MESSAGE(HomeTake);
TROUPE_CLUSTER_MESSAGE(HomeTaken);
TROUPE_CLUSTER_MESSAGE(HomeHandOver);
TROUPE_CLUSTER_MESSAGE(KvHoldings);
TROUPE_CLUSTER_MESSAGE(KvLease);
TROUPE_CLUSTER_MESSAGE(KvLeased);
TROUPE_CLUSTER_MESSAGE(KvRelease);

#undef TROUPE_CLUSTER_MESSAGE

}  // namespace troupe::schemas
