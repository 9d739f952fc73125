#include "tests/gpu/sample_cases.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

namespace troupe::kernels::cuda {

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr int spoiled_byte = 0xEE;

float normal(Random& random) {
  float sum = 0;
  for (int i = 0; i < 6; ++i) sum += random.uniform() - 0.5F;
  return sum * 1.414F;
}

float random_logit(LogitKind kind, Random& random) {
  switch (kind) {
    case LogitKind::normal: return 3 * normal(random);
    case LogitKind::peaked: return normal(random) + (random.chance(0.0005F) ? 18.0F : 0.0F);
    case LogitKind::steep: return 40 * normal(random);
    case LogitKind::flat: return -1.25F;
    case LogitKind::few_values: return std::round(2 * normal(random)) * 0.5F;
    case LogitKind::zeros: return random.chance(0.5F) ? -0.0F : 0.0F;
    case LogitKind::masked: return random.chance(0.97F) ? -infinity : 2 * normal(random);
    case LogitKind::one_finite: return -infinity;
    case LogitKind::near_zero: return std::ldexp(normal(random), -static_cast<int>(random.below(140)));
    case LogitKind::huge: return std::ldexp(normal(random), static_cast<int>(random.below(127)));
    case LogitKind::descending: break;
  }
  return 0;
}

template <class Value, std::size_t Count>
Value one_of(Random& random, const std::array<Value, Count>& values) {
  return values[random.below(Count)];
}

}  // namespace

const char* name_of(LogitKind kind) {
  static constexpr std::array<const char*, logit_kinds> names = {
      "normal", "peaked", "steep", "flat", "few values", "zeros", "masked", "one finite", "near zero", "huge", "descending"};
  return names[static_cast<std::size_t>(kind)];
}

std::vector<float> random_logits(LogitKind kind, std::size_t vocabulary, std::uint64_t seed) {
  Random random(seed, 1);
  std::vector<float> logits(vocabulary);
  if (kind == LogitKind::descending) {
    for (std::size_t token = 0; token < vocabulary; ++token) logits[token] = 20.0F - 0.001F * static_cast<float>(token);
    return logits;
  }
  for (float& logit : logits) logit = random_logit(kind, random);
  if (kind == LogitKind::one_finite || kind == LogitKind::masked) logits[random.below(vocabulary)] = normal(random);
  if (kind == LogitKind::zeros && random.chance(0.5F)) logits[random.below(vocabulary)] = -0.5F;
  return logits;
}

RowSampling random_sampling(Random& random, std::int32_t vocabulary) {
  const float below_one = std::nextafter(1.0F, 0.0F);
  RowSampling row;
  row.temperature = one_of<float, 11>(random, {0, 0x1p-130F, 0x1p-126F, 1e-30F, 0.01F, 0.3F, 0.7F, 1, 1, 1.7F, 100});
  if (random.chance(0.5F)) row.top_k = one_of<std::int32_t, 9>(random, {1, 2, 7, 20, 50, 50, 1000, vocabulary - 1, vocabulary});
  if (random.chance(0.5F))
    row.top_p = one_of<float, 9>(random, {1e-12F, 0.01F, 0.1F, 0.5F, 0.9F, 0.9F, 0.95F, 0.999F, below_one});
  if (random.chance(0.4F)) row.min_p = one_of<float, 7>(random, {1e-13F, 1e-5F, 0.01F, 0.05F, 0.1F, 0.9F, below_one});
  row.seed = std::uint64_t{random.next()} << 32U | random.next();
  row.position = static_cast<std::int32_t>(random.next() >> 1U);
  if (random.chance(0.4F)) row.log_probabilities = one_of<std::int32_t, 4>(random, {1, 5, 19, 20});
  return row;
}

model::SamplingParameters as_model_parameters(const RowSampling& row) {
  return {row.temperature, row.top_k, row.top_p, row.min_p, row.seed, row.log_probabilities};
}

std::string to_text(const RowSampling& row) {
  std::ostringstream text;
  text.precision(9);
  text << "temperature " << row.temperature << ", top_k " << row.top_k << ", top_p " << row.top_p << ", min_p " << row.min_p
       << ", seed " << row.seed << ", position " << row.position << ", log_probabilities " << row.log_probabilities;
  return text.str();
}

SampleBatch::SampleBatch(std::int32_t rows, std::int32_t vocabulary, std::int64_t stride)
    : logits_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride)),
      parameters_(static_cast<std::size_t>(rows)),
      results_(static_cast<std::size_t>(rows) + 1),
      tokens_(static_cast<std::size_t>(rows) + 1) {
  arguments_.logits = logits_.data();
  arguments_.logits_stride = stride;
  arguments_.rows = rows;
  arguments_.vocabulary = vocabulary;
  arguments_.parameters = parameters_.data();
  arguments_.results = results_.data();
  arguments_.tokens = tokens_.data();
}

void SampleBatch::spoil() {
  results_.fill_bytes(spoiled_byte);
  tokens_.fill_bytes(spoiled_byte);
}

std::vector<SampledRow> SampleBatch::results() const { return results_.read(0, static_cast<std::size_t>(rows())); }
std::vector<std::int32_t> SampleBatch::tokens() const { return tokens_.read(0, static_cast<std::size_t>(rows())); }

bool SampleBatch::is_rest_spoiled() const {
  const auto result = results_.read(static_cast<std::size_t>(rows()), 1);
  std::array<unsigned char, sizeof(SampledRow)> spoiled{};
  spoiled.fill(spoiled_byte);
  return std::memcmp(result.data(), spoiled.data(), spoiled.size()) == 0 &&
         tokens_.read(static_cast<std::size_t>(rows()), 1).front() == static_cast<std::int32_t>(0xEEEEEEEEU);
}

}  // namespace troupe::kernels::cuda
