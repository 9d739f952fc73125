// What a conversation asks of actors on its own node: a router, a retriever, a summarizer. These messages never leave the node,
// so they travel as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/front.hpp"
#include "actors/generation.hpp"
#include "policy/found_passage.hpp"
#include "policy/routing.hpp"
#include "policy/shadow.hpp"

namespace troupe::actors {

/// After which the answer is taken for lost; these actors never wait for anything themselves, but the summarizer.
inline constexpr Duration service_timeout = std::chrono::seconds(5);

struct RouteQuery {
  policy::RouteFacts facts;  ///< without `served`, which the router knows
  bool wait = true;          ///< for a node that serves the first tier; otherwise the route is told whoever is there
};

struct SearchQuery {
  std::string text;
  std::int32_t passages_max = 0;
};
using policy::FoundPassage;
struct SearchResult {
  std::vector<FoundPassage> passages;  ///< the best first
  std::optional<double> confidence;    ///< policy::retrieval_confidence; none if nothing was found, or nothing searched
  std::string corpus_version;          ///< of the one corpus that was searched; empty: there was none
};

/// What sections say, by their keys.
struct SourceQuery {
  std::vector<std::string> sections;
};
struct SourceTexts {
  std::vector<std::string> texts;  ///< one for each; empty if the corpus has no such section now
};

/// An operator's search of the corpus, asked through the node.
struct FrontSearchCorpus {
  std::string question;
  std::size_t limit = 0;
  Reply<policy::SearchHits> reply;
};

/// The next summary of a conversation: what the one before says, and the exchanges to fold into it.
struct SummaryWork {
  schemas::AttemptKey key;  ///< `turn` is the newest that is folded
  std::uint64_t epoch = 0;
  std::string before;
  std::vector<policy::Exchange> exchanges;
};
/// Nobody waits for that summary any more.
struct SummaryForget {
  schemas::AttemptKey key;
};
struct SummaryText {
  std::string text;
  policy::Tier tier = policy::Tier::mini;
  policy::ModelClass model;
  std::string reply;             ///< from which `text` was taken
  policy::AttemptResult result;  ///< how it ended, and what it took; without emissions
};

/// A turn that was drawn, to be answered once more.
struct ShadowWork {
  std::size_t arm = 0;      ///< of the context's `shadows`
  std::uint64_t epoch = 0;  ///< of the home's lease
  std::shared_ptr<const policy::ShadowInput> input;
};

using RouterActor = caf::typed_actor<on<RouteQuery>::gives<policy::RouteDecision>>;
using RetrieverActor =
    caf::typed_actor<on<SearchQuery>::gives<SearchResult>, on<SourceQuery>::gives<SourceTexts>, takes<FrontSearchCorpus>>;
/// Hears from engines about the attempts that it has made; the home passes that on.
using SummarizerActor = caf::typed_actor<on<SummaryWork>::gives<SummaryText>, takes<SummaryForget>,
                                         takes<schemas::EngineEmissions>, takes<schemas::EngineFinished>>;

/// The same.
using ShadowActor = caf::typed_actor<takes<ShadowWork>, takes<schemas::EngineEmissions>, takes<schemas::EngineFinished>>;

/// Local handles; the shadow is empty on a node whose policy has no experiments.
struct Services {
  RouterActor router;
  RetrieverActor retriever;
  SummarizerActor summarizer;
  ShadowActor shadow;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RouteQuery)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::policy::RouteDecision)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SearchQuery)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SearchResult)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SourceQuery)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SourceTexts)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontSearchCorpus)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SummaryWork)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SummaryForget)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SummaryText)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ShadowWork)
