#include "tests/gpu/sample_cases.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <utility>

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

std::vector<NamedRow> nucleus_rows(std::int32_t vocabulary, std::uint64_t seed) {
  const auto count = static_cast<std::size_t>(vocabulary);
  Random random(seed, 2);
  std::vector<NamedRow> rows;
  const auto add = [&](std::string name, std::vector<float> logits, float temperature, float top_p) {
    RowSampling row{.temperature = temperature, .top_p = top_p};
    row.position = static_cast<std::int32_t>(rows.size());
    // Draws a number near the greatest, so that another token comes where a nucleus has one too many or too few.
    constexpr std::uint32_t great = 0xFC000000;
    do {
      row.seed = random.next();
    } while (philox({static_cast<std::uint32_t>(row.position), 0, 0, model::token_choice_purpose},
                    {static_cast<std::uint32_t>(row.seed), 0})[0] < great);
    if (random.chance(0.3F)) row.min_p = one_of<float, 3>(random, {1e-12F, 1e-3F, 0.5F});
    if (random.chance(0.3F)) row.log_probabilities = 20;
    rows.push_back({std::move(name), std::move(logits), row});
  };
  // Scattered over all blocks; the stride has no divisor in common with any vocabulary that is tested.
  const auto with = [&](float rest, std::size_t several, float logit) {
    std::vector<float> logits(count, rest);
    for (std::size_t i = 0; i < several; ++i) logits[(i * 7919 + 5) % count] = logit;
    return logits;
  };
  const auto scaled = [&](LogitKind kind, float factor) {
    auto logits = random_logits(kind, count, random.next());
    for (float& logit : logits) logit *= factor;
    return logits;
  };
  const float below_one = std::nextafter(1.0F, 0.0F);
  for (const float top_p : {1e-12F, 0.37F, 0.95F, below_one}) {
    const std::string share = ", top_p " + std::to_string(top_p);
    add("all equal" + share, with(3, 0, 0), 0.8F, top_p);
    add("all equal but for a likelier one" + share, with(-2, 1, 1), 0.8F, top_p);
    add("all zeros but for one a little below" + share, with(-0.0F, 1, -0.5F), 100, top_p);
    add("few values" + share, scaled(LogitKind::few_values, 1), 1, top_p);
    for (const float factor : {0.001F, 0.1F, 0.333F, 1.0F, 1.333F})
      add("normal times " + std::to_string(factor) + share, scaled(LogitKind::normal, factor), 0.8F, top_p);
    add("near zero" + share, scaled(LogitKind::near_zero, 1), 1, top_p);
    add("steep" + share, scaled(LogitKind::steep, 1), 1, top_p);
  }
  // Exactly so many equal ones share the bin in which the nucleus ends, below a likelier one.
  for (const std::size_t equal : {1, 2, 31, 32, 33, 1023, 1024, 1025, 2047, 2048, 2049, 4000}) {
    std::vector<float> logits = with(-40, equal, 0);
    logits[(4001 * 7919 + 5) % count] = 2;
    for (const float top_p : {0.9F, below_one}) add(std::to_string(equal) + " equal ones share the end", logits, 1, top_p);
  }
  // As many, but no two alike, and the nucleus ends amid them.
  for (const std::size_t close : {32, 33, 2048, 2049}) {
    std::vector<float> logits = with(-40, close, 0);
    for (std::size_t i = 0; i < close; ++i) logits[(i * 7919 + 5) % count] = std::ldexp(static_cast<float>(i % close), -22);
    add(std::to_string(close) + " that differ by single bits share the end", logits, 1, 0.6F);
  }
  // exp(-27.7258...) is 2^-40: what is less likely weighs nothing.
  for (const float temperature : {0.3F, 1.0F, 1.7F}) {
    std::vector<float> logits(count);
    for (float& logit : logits) logit = temperature * (-27.726F + 0.01F * (random.uniform() - 0.5F));
    logits[count / 3] = 0;
    add("tokens at the edge of weighing nothing, temperature " + std::to_string(temperature), logits, temperature, below_one);
    for (float& logit : logits) logit *= 0.6F;  // beyond e^-16
    add("all but one in the last bin, temperature " + std::to_string(temperature), logits, temperature, below_one);
  }
  // Every warp has one of the best, so that nothing tells how flat the row is.
  std::vector<float> periodic(count);
  for (std::size_t i = 0; i < count; ++i) periodic[i] = i % 64 == 0 ? 1.0F : -3 * random.uniform();
  add("a best one in every warp", std::move(periodic), 1, 0.9F);
  return rows;
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
