#include "bench/prefix.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/random.hpp"
#include "bench/transfer_rate.hpp"
#include "cluster/ucx_fabric.hpp"
#include "engine/block_id.hpp"
#include "engine/engine.hpp"
#include "policy/kv_fetch.hpp"

namespace troupe::bench {

namespace {

using engine::Engine;

/// The first token of a sequence, and when it came.
class FirstToken final : public engine::Listener {
 public:
  void on_tokens(const engine::TokensEvent& event) override {
    if (event.tokens.empty() || token) return;
    token = event.tokens.front();
    at = Steady::now();
  }
  void on_finished(const engine::FinishedEvent& event) override { error = event.error; }

  std::optional<model::SampledToken> token;
  std::optional<Error> error;
  Steady::time_point at;
};

struct Answered {
  model::SampledToken token;
  Duration took{};
};

/// Runs a sequence of one token. `since`: when its time began.
Result<Answered> answer(Engine& engine, const std::vector<model::TokenId>& prompt, Steady::time_point since) {
  engine::GenerateRequest request;
  request.prompt = prompt;
  request.tokens_max = 1;
  request.stop_at_end_tokens = false;
  FirstToken first;
  TROUPE_TRY_DO(engine.submit(std::move(request), first));
  while (!engine.idle()) engine.step();
  if (first.error) return *first.error;
  return Answered{*first.token, first.at - since};
}

/// An engine whose pool can be reached.
struct End {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<cluster::Fabric> fabric;
  cluster::RegionPtr region;

  std::span<std::byte> memory() const { return {engine->blocks().data(), engine->blocks().bytes()}; }
};

Result<End> open_end(const cluster::NodeId& name, const model::Model& model, kernels::Device& device, const Clock& clock,
                     const std::string& transports) {
  engine::EngineOptions options;
  options.kv_bytes = std::size_t{256} << 20;
  cluster::UcxOptions ucx;
  ucx.transports = transports;
  End end;
  TROUPE_TRY(end.engine, Engine::create(model, device, clock, options));
  TROUPE_TRY(end.fabric, cluster::open_ucx_fabric(name, {}, ucx));
  TROUPE_TRY(end.region, end.fabric->expose(end.memory(), nullptr));
  return end;
}

const cluster::NodeId near_end{"near"};
const cluster::NodeId far_end{"far"};

/// Brings what the far end has of a chain into the near one; as actors/kv_shard_fetch.cpp does between nodes.
Result<std::size_t> fetch(End& near, End& far, std::span<const policy::BlockId> chain) {
  const std::size_t block_bytes = near.engine->blocks().layout().block_bytes();
  const auto pinned = far.engine->blocks().pin(chain);
  const auto import = near.engine->blocks().begin_import(chain.first(pinned.size()));
  std::vector<cluster::Piece> pieces;
  std::vector<std::uint64_t> checksums;
  std::vector<engine::BlockIndex> indexes;
  for (const auto& block : pinned) indexes.push_back(block.index);
  for (std::size_t i = 0; i < import.incoming.size(); ++i) {
    const auto& block = pinned[import.present.size() + i];
    pieces.push_back({static_cast<std::size_t>(block.index) * block_bytes,
                      static_cast<std::size_t>(import.incoming[i].index) * block_bytes, block_bytes});
    checksums.push_back(block.checksum);
  }
  TransferCount count;
  near.fabric->get(far_end, far.region->remote(), near.region, std::move(pieces), TimePoint::max(), count.done());
  TROUPE_TRY_DO(count.wait(1));
  const auto imported = near.engine->blocks().finish_import(import, checksums);
  far.engine->blocks().unpin(indexes);
  if (imported.wrong > 0) return Error{ErrorCode::corrupt, "blocks came wrong over the fabric"};
  return import.incoming.size();
}

std::vector<model::TokenId> draw_prompt(const model::Model& model, std::int32_t tokens, std::uint64_t seed) {
  Random random(seed);
  std::vector<model::TokenId> prompt;
  for (std::int32_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<model::TokenId>(random.below(static_cast<std::uint64_t>(model.config.vocabulary))));
  }
  return prompt;
}

bool same(const Answered& one, const Answered& other) {
  return one.token.token == other.token.token && one.token.log_probability == other.token.log_probability;
}

}  // namespace

Result<PrefixBenchResult> bench_prefix(const model::Model& model, kernels::Device& device, const PrefixBenchOptions& options,
                                       const std::function<void(const std::string&)>& progress) {
  const SystemClock clock;
  TROUPE_TRY(auto near, open_end(near_end, model, device, clock, options.transports));
  TROUPE_TRY(auto far, open_end(far_end, model, device, clock, options.transports));
  TROUPE_TRY_DO(near.fabric->connect(far_end, far.fabric->address()));
  TROUPE_TRY_DO(far.fabric->connect(near_end, near.fabric->address()));
  const std::size_t block_bytes = near.engine->blocks().layout().block_bytes();
  PrefixBenchResult result;
  policy::MeasuredFetch measured_fetch;
  std::uint64_t seed = 1;
  for (const std::int32_t tokens : options.prompt_tokens) {
    progress(std::to_string(tokens) + " tokens");
    std::array<std::vector<Duration>, 3> times;
    PrefixMeasurement measured{.prompt_tokens = tokens};
    for (std::int32_t round = 0; round < options.rounds; ++round) {
      const auto prompt = draw_prompt(model, tokens, seed++);
      TROUPE_TRY(const Answered theirs, answer(*far.engine, prompt, Steady::now()));
      TROUPE_TRY(const Answered computed, answer(*near.engine, prompt, Steady::now()));
      TROUPE_TRY(const Answered local, answer(*near.engine, prompt, Steady::now()));
      near.engine->blocks().clear();
      const auto chain = engine::chain_of(near.engine->blocks().scope({}), prompt);
      const auto began = Steady::now();
      TROUPE_TRY(measured.blocks, fetch(near, far, chain));
      const double seconds = std::chrono::duration<double>(Steady::now() - began).count();
      TROUPE_TRY(const Answered fetched, answer(*near.engine, prompt, began));
      if (!same(theirs, computed) || !same(theirs, local) || !same(theirs, fetched)) {
        return Error{ErrorCode::corrupt, "the token depends on where its prompt's blocks come from"};
      }
      measured.bytes = measured.blocks * block_bytes;
      measured_fetch.record(measured.bytes, seconds, clock.now());
      times[0].push_back(computed.took);
      times[1].push_back(fetched.took);
      times[2].push_back(local.took);
    }
    measured.computed = median(times[0]);
    measured.fetched = median(times[1]);
    measured.local = median(times[2]);
    result.measured.push_back(measured);
  }
  const engine::EngineCounters counters = near.engine->counters();
  result.prefill_seconds_per_token = counters.prefill_seconds / static_cast<double>(counters.tokens_prefilled);
  const policy::FetchRate rate = measured_fetch.rate(clock.now());
  result.fetch_fixed_seconds = rate.fixed_seconds;
  result.fetch_bytes_per_second = rate.bytes_per_second;
  result.break_even_blocks =
      policy::break_even_blocks({1, block_bytes, engine::kv_block_positions, result.prefill_seconds_per_token}, rate);
  return result;
}

}  // namespace troupe::bench
