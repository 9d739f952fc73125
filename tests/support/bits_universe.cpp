#include "tests/support/bits_universe.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.hpp"
#include "base/random.hpp"
#include "kernels/open_device.hpp"
#include "tests/support/block_transfer.hpp"
#include "tests/support/broken_kernels.hpp"

namespace troupe::tests::bits {

namespace {

/// On a GPU a token costs little beside what is made for every case.
constexpr std::int32_t answer_tokens_max(kernels::DeviceKind kind) { return kind == kernels::DeviceKind::cuda ? 300 : 24; }

/// The longest fresh prompt of a family: mostly short, some over a span of attention, some over two and more.
std::int32_t prompt_tokens_max(std::size_t family) {
  constexpr std::int32_t longest[] = {20, 40, 60, 80, 40, 150, 300, 60, 40, 100, 20, 40, 60, 80, 40, 150, 700, 60, 40, 30};
  return longest[family % std::size(longest)];
}

/// Some families say the same again and again, so that blocks of equal tokens stand at several positions.
bool repeats_itself(std::size_t family) { return family % 5 == 3; }

void repeat_first_block(std::vector<TokenId>& tokens) {
  for (std::size_t i = engine::kv_block_positions; i < tokens.size(); ++i) tokens[i] = tokens[i - engine::kv_block_positions];
}

/// Prefers lengths around what the engine cuts at.
std::int32_t draw_length(Random& random, std::int32_t longest) {
  const auto around = [&](std::int32_t step) {
    const auto multiple = static_cast<std::int32_t>(random.between(1, std::max(longest / step, 1))) * step;
    return std::clamp(multiple + static_cast<std::int32_t>(random.between(-2, 2)), 1, longest);
  };
  switch (random.below(4)) {
    case 0: return around(engine::kv_block_positions);
    case 1: return longest > 256 ? around(256) : around(engine::kv_block_positions);
    case 2: return longest - static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(longest) / 4));
    default: return static_cast<std::int32_t>(random.between(1, longest));
  }
}

model::SamplingParameters draw_sampling(Random& random) {
  model::SamplingParameters sampling;
  if (random.chance(0.2F)) sampling.log_probabilities = static_cast<std::int32_t>(random.between(1, 5));
  if (random.chance(0.4F)) return sampling;
  sampling.temperature = 0.1F + 1.9F * random.uniform();
  sampling.seed = random.next();
  if (random.chance(0.4F)) sampling.top_k = static_cast<std::int32_t>(random.between(1, 60));
  if (random.chance(0.4F)) sampling.top_p = 0.3F + 0.7F * random.uniform();
  if (random.chance(0.3F)) sampling.min_p = 0.3F * random.uniform();
  return sampling;
}

}  // namespace

void WordHash::add(std::span<const float> values) {
  for (const float value : values) add(std::bit_cast<std::uint32_t>(value));
}

void Recorder::on_logits(engine::SequenceId /*sequence*/, std::int32_t position, std::span<const float> logits) {
  in_order_ = in_order_ && !has_logits_ && position == prompt_tokens_ + static_cast<std::int32_t>(tokens_.size());
  has_logits_ = true;
  hash_.add(logits);
}

void Recorder::on_tokens(const engine::TokensEvent& event) {
  in_order_ =
      in_order_ && has_logits_ && event.tokens.size() == 1 && event.first_index == static_cast<std::int32_t>(tokens_.size());
  has_logits_ = false;
  for (const model::SampledToken& token : event.tokens) {
    hash_.add(static_cast<std::uint32_t>(token.token));
    hash_.add(std::span(&token.log_probability, 1));
    for (const auto& [other, log_probability] : token.top) {
      hash_.add(static_cast<std::uint32_t>(other));
      hash_.add(std::span(&log_probability, 1));
    }
    tokens_.push_back({token.token, hash_.value(), token.log_probability});
  }
}

engine::GenerateRequest Spec::request() const {
  engine::GenerateRequest request;
  request.prompt = prompt;
  request.tokens_max = tokens_max;
  request.sampling = sampling;
  request.stop = stop;
  return request;
}

Universe::Universe(const TinyModel& tiny, std::uint64_t seed, std::string_view defect, kernels::DeviceKind kind)
    : name_(tiny.name), seed_(seed), specs_(specs), references_(specs) {
  const auto set = kernels::best_instruction_set();
  kernels::DeviceOptions wish;
  wish.wish = kind == kernels::DeviceKind::cuda ? kernels::DeviceWish::cuda : kernels::DeviceWish::cpu;
  wish.cpu = {.instruction_set = set, .threads = 1, .operations = broken_operations(defect, set)};
  auto opened = kernels::open_device(wish);
  TROUPE_CHECK(opened.has_value(), "the best instruction set is supported, and who asks for a GPU has one");
  device_ = std::move(opened->device);
  model_ = std::make_unique<model::Model>(make(tiny, *device_));
  engine::EngineOptions options;
  options.kv_blocks = 1024 / engine::kv_block_positions;
  options.batch = {.tokens_max = 1024, .sequences_max = 1, .chunk_tokens_max = 1024};
  options.passes = 1;
  auto made = engine::Engine::create(*model_, *device_, clock_, options);
  TROUPE_CHECK(made.has_value(), "the plainest engine can be made");
  engine_ = *std::move(made);
}

const Spec& Universe::spec(std::size_t index) {
  if (!specs_[index]) specs_[index] = draw(index);
  return *specs_[index];
}

const Reference& Universe::reference(std::size_t index) {
  if (!references_[index]) references_[index] = run_alone(spec(index));
  return *references_[index];
}

std::vector<TokenId> Universe::all_tokens(std::size_t index) {
  std::vector<TokenId> tokens = spec(index).prompt;
  for (const HashedToken& generated : reference(index).tokens) tokens.push_back(generated.token);
  return tokens;
}

Spec Universe::draw(std::size_t index) {
  const std::size_t family = index / family_members;
  Random shared(seed_, 2 * family);
  Random own(seed_, 2 * index + 1);
  const auto vocabulary = static_cast<std::uint64_t>(model_->config.vocabulary);
  const auto append = [&](Random& random, std::vector<TokenId>& tokens, std::int32_t count) {
    for (std::int32_t i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>(random.below(vocabulary)));
  };
  Spec spec;
  const bool is_turn = index % family_members > 0 && own.chance(0.3F);
  if (is_turn) spec.prompt = all_tokens(index - 1);
  const std::int32_t longest = prompt_tokens_max(family);
  const std::int32_t longest_answer = answer_tokens_max(device_kind());
  if (is_turn && static_cast<std::int32_t>(spec.prompt.size()) + 40 + longest_answer <= positions_max) {
    append(own, spec.prompt, static_cast<std::int32_t>(own.between(1, 40)));
  } else {
    spec.prompt.clear();
    const std::int32_t length = draw_length(own, longest);
    const std::int32_t common = own.chance(0.3F) ? length : static_cast<std::int32_t>(own.between(0, length));
    append(shared, spec.prompt, common);
    if (repeats_itself(family)) repeat_first_block(spec.prompt);
    append(own, spec.prompt, length - common);
  }
  spec.tokens_max = static_cast<std::int32_t>(own.between(1, own.between(1, longest_answer)));
  spec.sampling = draw_sampling(own);
  if (own.chance(0.1F)) append(own, spec.stop.tokens, 8);
  return spec;
}

Reference Universe::run_alone(const Spec& spec) {
  // It leaves its blocks behind, so that they can be looked at, but finds none.
  engine_->blocks().clear();
  Recorder recorder(static_cast<std::int32_t>(spec.prompt.size()));
  TROUPE_CHECK(engine_->submit(spec.request(), recorder), "a spec is a valid request");
  while (!engine_->idle()) engine_->step();
  TROUPE_CHECK(recorder.in_order() && recorder.finished(), "an answer that runs alone comes to its end");
  Reference reference{recorder.tokens(), recorder.finished()->reason, {}};
  std::vector<TokenId> tokens = spec.prompt;
  for (const HashedToken& generated : reference.tokens) tokens.push_back(generated.token);
  const PinnedPrefix blocks(engine_->blocks(), tokens, {});
  for (std::size_t i = 0; i < blocks.blocks().size(); ++i) {
    reference.block_checksums.push_back(engine::block_checksum({}, blocks.payload(i)));
  }
  return reference;
}

}  // namespace troupe::tests::bits
