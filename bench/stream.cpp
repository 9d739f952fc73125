#include "bench/stream.hpp"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "actors/node.hpp"
#include "base/histogram.hpp"
#include "bench/null_replica.hpp"
#include "clients/cpp/client.hpp"
#include "gateway/rpc_server.hpp"

namespace troupe::bench {

namespace {

using Steady = std::chrono::steady_clock;

/// A node with a model that needs no time, and its gateway on a thread.
class NullNode {
 public:
  static Result<std::unique_ptr<NullNode>> start(const std::filesystem::path& folder) {
    std::unique_ptr<NullNode> node(new NullNode);
    actors::NodeOptions options;
    options.name = "bench";
    options.data = folder;
    options.cluster_address = "127.0.0.1:0";
    options.routing = policy::default_policy();
    options.routing.portfolio = {policy::Tier::mini};
    for (policy::RouteRule& rule : options.routing.rules) {
      rule.start = policy::Tier::mini;
      rule.escalate.clear();
    }
    node->replica_ = std::make_shared<NullReplica>(policy::Tier::mini);
    options.replicas.push_back(node->replica_);
    TROUPE_TRY(node->node_, actors::Node::start(std::move(options)));
    TROUPE_TRY(node->gateway_, gateway::Gateway::open(node->node_->front(), {.listen = {"127.0.0.1:0"}, .limits = {}}));
    node->thread_ = std::thread([gateway = node->gateway_.get()] { gateway->run(); });
    return node;
  }
  ~NullNode() {
    if (!thread_.joinable()) return;
    gateway_->stop();
    thread_.join();
  }
  NullNode(const NullNode&) = delete;
  NullNode& operator=(const NullNode&) = delete;
  NullReplica& replica() { return *replica_; }
  std::string address() const { return gateway_->addresses().front(); }

 private:
  NullNode() = default;
  std::shared_ptr<NullReplica> replica_;
  std::unique_ptr<actors::Node> node_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::thread thread_;
};

policy::Ask question(std::int32_t tokens) {
  policy::Ask ask;
  ask.question = "hello";
  ask.assurance = policy::Assurance::draft;
  ask.grounding = policy::Grounding::never;
  ask.tokens_max = tokens;
  return ask;
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  constexpr std::size_t page = 4096;
  return resident * page;
}

/// Runs `work(stream)` on a thread for each stream; the first error of any.
template <class Work>
std::optional<Error> on_threads(int streams, const Work& work) {
  std::mutex mutex;
  std::optional<Error> failed;
  std::vector<std::thread> threads;
  for (int stream = 0; stream < streams; ++stream) {
    threads.emplace_back([&, stream] {
      const Result<void> done = work(stream);
      const std::scoped_lock lock(mutex);
      if (!done && !failed) failed = done.error();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed;
}

/// All streams ask at once, again and again; each time in new conversations, so that nothing has to be summarised.
struct Rounds {
  Histogram first_token;
  std::int64_t tokens = 0;
  Duration elapsed{};
};

Result<Rounds> run_rounds(const clients::Client& client, int streams, std::int32_t tokens, int answers) {
  Rounds rounds;
  std::mutex mutex;
  for (int answer = 0; answer < answers; ++answer) {
    const bool measured = answer > 0 || answers == 1;
    std::vector<clients::Conversation> conversations;
    for (int stream = 0; stream < streams; ++stream) {
      TROUPE_TRY(auto conversation, client.open());
      conversations.push_back(std::move(conversation));
    }
    const auto begin = Steady::now();
    const auto failed = on_threads(streams, [&](int stream) -> Result<void> {
      const auto asked = Steady::now();
      std::optional<Duration> first;
      std::int64_t count = 0;
      auto end = conversations[static_cast<std::size_t>(stream)].ask(question(tokens), [&](const policy::TurnEvent& event) {
        const auto* some = std::get_if<policy::TokensEvent>(&event.what);
        if (some == nullptr) return;
        if (!first) first = Steady::now() - asked;
        count += static_cast<std::int64_t>(some->ids.size());
      });
      if (!end) return end.error();
      if (!end->end.outcome.committed) return Error{ErrorCode::unavailable, "an answer failed: " + end->end.outcome.message};
      if (count != tokens) return Error{ErrorCode::corrupt, "an answer had " + std::to_string(count) + " tokens"};
      if (!measured) return {};
      const std::scoped_lock lock(mutex);
      rounds.first_token.record(*first);
      rounds.tokens += count;
      return {};
    });
    if (failed) return *failed;
    if (measured) rounds.elapsed += Steady::now() - begin;
  }
  return rounds;
}

Result<StreamMeasurement> measure(NullNode& node, const clients::Client& client, int streams,
                                  const StreamBenchOptions& options) {
  node.replica().set_step(Duration::zero());
  TROUPE_TRY(const auto saturated, run_rounds(client, streams, options.tokens, options.answers));
  node.replica().set_step(options.pace);
  TROUPE_TRY(const auto paced, run_rounds(client, streams, options.paced_tokens, options.answers));
  node.replica().set_step(Duration::zero());
  return StreamMeasurement{streams,
                           static_cast<double>(saturated.tokens) / std::chrono::duration<double>(saturated.elapsed).count(),
                           paced.first_token.quantile(0.5), paced.first_token.quantile(0.99)};
}

/// By how much the process grows while many readers are slow.
Result<std::size_t> measure_slow(const clients::Client& client, const StreamBenchOptions& options) {
  const std::size_t before = resident_bytes();
  std::atomic<std::size_t> most{before};
  const auto failed = on_threads(options.slow_readers, [&](int /*reader*/) -> Result<void> {
    TROUPE_TRY(const auto own, client.open());
    const auto end = own.ask(question(options.tokens), [&](const policy::TurnEvent&) {
      std::this_thread::sleep_for(options.slow_pause);
      const std::size_t now = resident_bytes();
      for (std::size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
    });
    if (!end) return end.error();
    return {};
  });
  if (failed) return *failed;
  return most.load() - before;
}

}  // namespace

Result<StreamBenchResult> bench_streams(const StreamBenchOptions& options,
                                        const std::function<void(const std::string&)>& progress) {
  TROUPE_TRY(const auto node, NullNode::start(options.folder));
  TROUPE_TRY(const auto client, clients::Client::connect({node->address()}));
  StreamBenchResult result;
  for (const int streams : options.streams) {
    progress(std::to_string(streams) + " streams");
    TROUPE_TRY(auto measured, measure(*node, client, streams, options));
    result.measured.push_back(measured);
  }
  progress(std::to_string(options.slow_readers) + " slow readers");
  TROUPE_TRY(result.slow_bytes, measure_slow(client, options));
  return result;
}

}  // namespace troupe::bench
