#include "tests/layouts/block_places.hpp"

#include <span>

#include "base/check.hpp"
#include "tests/support/block_transfer.hpp"

namespace troupe::tests::layouts {

namespace {

constexpr std::size_t blocks_min = 3;  // of a prompt
constexpr std::int32_t large_pool = 500;
constexpr std::int32_t small_pool = 32;

TinyModel foreign_to(const TinyModel& tiny) { return {tiny.name, tiny.config_json, tiny.seed + 1000}; }

std::vector<std::size_t> long_enough(Prompts& prompts, std::size_t model) {
  std::vector<std::size_t> specs;
  for (const auto& family : prompts.families(model)) {
    for (const std::size_t spec : family) {
      const std::size_t tokens = prompts.universe(model).spec(spec).prompt.size();
      if (tokens > blocks_min * engine::kv_block_positions) specs.push_back(spec);
    }
  }
  return specs;
}

}  // namespace

BlockPlace::BlockPlace(const std::string& name, const TinyModel& tiny, std::int32_t blocks, const Clock& clock,
                       const OpenFabric& open)
    : id_{name}, device_(kernels::CpuDevice::create({.threads = 1}).value()) {
  model_ = std::make_unique<model::Model>(make(tiny, *device_));
  fabric_ = open(id_).value();
  engine::EngineOptions options;
  options.kv_blocks = blocks;
  options.batch = {.tokens_max = 512, .sequences_max = 4, .chunk_tokens_max = 512};
  engine_ = engine::Engine::create(*model_, *device_, clock, options).value();
  region_ = fabric_->expose({cache().data(), cache().bytes()}, nullptr).value();
}

BlockPlace::~BlockPlace() { fabric_.reset(); }  // before the pool that it may still read

void BlockPlace::meet(BlockPlace& other) {
  TROUPE_CHECK(fabric_->connect(other.id_, other.fabric_->address()), "a fabric connects");
}

std::vector<bits::HashedToken> BlockPlace::answer(const bits::Spec& spec, const std::string& salt) {
  bits::Recorder recorder(static_cast<std::int32_t>(spec.prompt.size()));
  engine::GenerateRequest request = spec.request();
  request.tenant_salt = salt;
  TROUPE_CHECK(engine_->submit(request, recorder), "a spec is a valid request");
  while (!engine_->idle()) engine_->step();
  TROUPE_CHECK(recorder.in_order() && recorder.finished(), "an answer that runs alone comes to its end");
  return recorder.tokens();
}

std::vector<policy::BlockId> BlockPlace::have_blocks_of(const bits::Spec& spec, const std::string& salt) {
  auto chain = engine::chain_of(cache().scope(salt), spec.prompt);
  if (cache().match_prefix(spec.prompt, salt).size() < chain.size()) answer(spec, salt);
  return chain;
}

BlockPlaces::BlockPlaces(Prompts& prompts, std::size_t model, const Clock& clock, const OpenFabric& open)
    : universe(prompts.universe(model)),
      specs(long_enough(prompts, model)),
      asker("asker" + std::to_string(model), prompts.tiny(model), small_pool, clock, open),
      owner("owner" + std::to_string(model), prompts.tiny(model), large_pool, clock, open),
      forgetful("forgetful" + std::to_string(model), prompts.tiny(model), small_pool, clock, open),
      foreign("foreign" + std::to_string(model), foreign_to(prompts.tiny(model)), large_pool, clock, open) {
  for (BlockPlace* const place : {&owner, &forgetful, &foreign}) asker.meet(*place);
}

BlockChain BlockPlaces::draw_chain(Random& random, const std::string& salt) {
  BlockChain chain{specs[random.below(specs.size())], salt, {}, {}};
  const bits::Spec& spec = universe.spec(chain.spec);
  const auto& expected = universe.reference(chain.spec).block_checksums;
  owner.have_blocks_of(spec, {});
  const PinnedPrefix computed(owner.cache(), spec.prompt, {});
  chain.ids = engine::chain_of(asker.cache().scope(salt), spec.prompt);
  for (std::size_t i = 0; i < chain.ids.size(); ++i) {
    const auto payload = computed.payload(i);
    TROUPE_CHECK(engine::block_checksum({}, payload) == expected[i], "an owner computes what anybody computes");
    chain.truth.emplace_back(payload.begin(), payload.end());
  }
  return chain;
}

}  // namespace troupe::tests::layouts
