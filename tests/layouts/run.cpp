#include "tests/layouts/run.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.hpp"
#include "tests/layouts/nodes.hpp"
#include "tests/layouts/stream.hpp"

namespace troupe::tests::layouts {

namespace {

constexpr std::string_view counted[] = {"kills",
                                        "restarts",
                                        "drains",
                                        "experts withdrawn without a word",
                                        "rescues of experts",
                                        "connections lost",
                                        "answers that moved when they had begun",
                                        "messages to experts elsewhere",
                                        "messages to experts that failed",
                                        "layers that waited for a holder",
                                        "answers of experts that nobody waited for",
                                        "prompt tokens found in a cache",
                                        "blocks evicted",
                                        "blocks fetched from another node",
                                        "blocks read from a level below",
                                        "blocks refused as wrong",
                                        "fetches that failed"};

class LayoutRun {
 public:
  LayoutRun(const Layout& layout, Prompts& prompts, Defect defect)
      : layout_(layout), universe_(prompts.universe(layout.model)), nodes_(layout, prompts, defect, outcome_.happened) {
    for (const std::string_view what : counted) outcome_.happened.try_emplace(what);
    for (const Question& question : layout.questions)
      streams_.push_back(std::make_unique<Stream>(question, universe_.spec(question.prompt)));
  }

  Outcome run() {
    const bool ended = run_ticks();
    if (!ended) complain("stands still, with answers left");
    while (ended && nodes_.run_next()) {
    }
    for (const auto& stream : streams_) compare(*stream);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (ended && nodes_.at(i) != nullptr) audit(*nodes_.at(i));
      nodes_.end(i);
    }
    const ShardCounters& shards = nodes_.shards();
    outcome_.happened["blocks fetched from another node"] += shards.fetched;
    outcome_.happened["blocks read from a level below"] += shards.read;
    outcome_.happened["blocks refused as wrong"] += shards.refused;
    outcome_.happened["fetches that failed"] += shards.failed;
    return std::move(outcome_);
  }

 private:
  /// False if nothing happens any more before all is answered.
  bool run_ticks() {
    std::int32_t last = 0;
    for (const Question& question : layout_.questions) last = std::max(last, question.tick);
    for (const Happening& happening : layout_.happenings) last = std::max(last, happening.tick);
    for (std::int32_t tick = 0; tick <= last || !all_finished(); ++tick) {
      for (const Happening& happening : layout_.happenings) {
        if (happening.tick == tick) act(happening);
      }
      for (const auto& stream : streams_) {
        if (stream->question().tick == tick) arrive(*stream, nodes_.at(stream->question().node));
      }
      nodes_.publish();
      bool progressed = nodes_.step();
      for (std::uint64_t events = progressed ? nodes_.random().below(12) : 1; events > 0; --events)
        progressed |= nodes_.run_next();
      if (!progressed && tick > last) return false;
    }
    return true;
  }

  bool all_finished() const {
    return nodes_.idle() && std::ranges::all_of(streams_, [](const auto& stream) { return stream->finished(); });
  }

  void act(const Happening& happening) {
    Node* const node = nodes_.at(happening.node);
    if (happening.kind == Happening::Kind::restart && node == nullptr) {
      ++outcome_.happened["restarts"];
      return nodes_.start(happening.node);
    }
    if (node == nullptr) return;
    switch (happening.kind) {
      case Happening::Kind::kill:
        if (nodes_.elsewhere(node) != nullptr) kill(happening.node);
        return;
      case Happening::Kind::drain:
        if (!node->draining && nodes_.elsewhere(node) != nullptr) drain(*node);
        return;
      case Happening::Kind::join: node->draining = false; return;
      case Happening::Kind::withdraw: return nodes_.withdraw_experts_of(*node);
      case Happening::Kind::clear:
        if (node->engine) node->engine->blocks().clear();
        return;
      case Happening::Kind::restart: return;  // it runs
    }
  }

  void kill(std::size_t place) {
    ++outcome_.happened["kills"];
    std::vector<Stream*> orphans;
    for (const auto& stream : streams_) {
      if (stream->node != nodes_.at(place) || stream->finished()) continue;
      stream->leave();
      orphans.push_back(stream.get());
    }
    nodes_.end(place);
    for (Stream* const stream : orphans) move(*stream);
  }

  void drain(Node& node) {
    ++outcome_.happened["drains"];
    node.draining = true;
    for (const auto& stream : streams_) {
      if (stream->node != &node || stream->finished()) continue;
      const auto id = stream->id;
      stream->leave();
      if (id) node.engine->cancel(*id);
      move(*stream);
    }
    nodes_.take_experts_from(node);
  }

  void move(Stream& stream) {
    if (!stream.recorder().tokens().empty()) ++outcome_.happened["answers that moved when they had begun"];
    nodes_.later([this, &stream] { arrive(stream, nullptr); });
  }

  /// At a node, or wherever there is one.
  void arrive(Stream& stream, Node* node) {
    if (node == nullptr || node->draining) node = nodes_.elsewhere(nullptr);
    TROUPE_CHECK(node != nullptr, "one node that runs sequences is left");
    stream.node = node;
    const auto submit = [this, &stream, visit = ++stream.visits] {
      if (stream.visits != visit || stream.id) return;
      const auto id = stream.node->engine->submit(stream.request(), stream.heard_anew());
      if (!id) return complain("prompt " + std::to_string(stream.question().prompt) + " was refused: " + id.error().message);
      stream.id = *id;
    };
    if (!stream.question().use_prefix_cache) return submit();
    if (!stream.question().waits_for_blocks) submit();
    node->shard->obtain(stream.tokens(), stream.question().tenant, submit);
  }

  void compare(const Stream& stream) {
    const bits::Reference& expected = universe_.reference(stream.question().prompt);
    const bits::Recorder& got = stream.recorder();
    const std::string name = "prompt " + std::to_string(stream.question().prompt);
    ++outcome_.streams;
    outcome_.tokens += got.tokens().size();
    const auto differs = [&](const std::string& how) {
      ++outcome_.differing;
      complain(name + " " + how);
    };
    if (!got.finished()) return differs("has no end");
    if (got.finished()->error) return differs("failed: " + got.finished()->error->message);
    if (!got.in_order()) return differs("was heard out of order");
    const std::size_t common = std::min(expected.tokens.size(), got.tokens().size());
    for (std::size_t i = 0; i < common; ++i) {
      if (got.tokens()[i] == expected.tokens[i]) continue;
      return differs("differs at token " + std::to_string(i) + " of " + std::to_string(expected.tokens.size()) + ": token " +
                     std::to_string(got.tokens()[i].token) + ", alone " + std::to_string(expected.tokens[i].token) +
                     "; hashes of all up to it " + std::to_string(got.tokens()[i].hash) + " and " +
                     std::to_string(expected.tokens[i].hash));
    }
    if (got.tokens().size() == expected.tokens.size() && got.finished()->reason == expected.reason) return;
    differs("has " + std::to_string(got.tokens().size()) + " tokens and ended as " +
            std::string(engine::to_string(got.finished()->reason)) + "; alone " + std::to_string(expected.tokens.size()) +
            ", " + std::string(engine::to_string(expected.reason)));
  }

  /// Nothing is held or promised once all have gone.
  void audit(const Node& node) {
    if (!node.engine) return;
    const engine::EngineCounters counters = node.engine->counters();
    if (counters.blocks_held == 0 && counters.blocks_reserved == 0) return;
    complain(node.id().value + " holds " + std::to_string(counters.blocks_held) + " blocks and has promised " +
             std::to_string(counters.blocks_reserved) + " after the last answer");
  }

  void complain(const std::string& what) {
    outcome_.complaints.push_back("layout " + std::to_string(layout_.seed) + ": " + what);
  }

  const Layout& layout_;
  bits::Universe& universe_;
  Outcome outcome_;
  std::vector<std::unique_ptr<Stream>> streams_;  // outlive the engines, which call them
  Nodes nodes_;
};

}  // namespace

Outcome run_layout(const Layout& layout, Prompts& prompts, Defect defect) { return LayoutRun(layout, prompts, defect).run(); }

}  // namespace troupe::tests::layouts
