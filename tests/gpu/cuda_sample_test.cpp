// Sampling on a GPU: the token that a CPU chooses, with the same bits whatever else is in the batch.
#include <cmath>
#include <limits>

#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/sample_cases.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
/// Of a log-sum-exp: the sum is cut by 2^-26 at most, and sum, logarithm and result are rounded.
constexpr double tolerance = 4e-7;

/// What a test gives to the GPU, and keeps for the CPU.
struct Rows {
  std::int32_t vocabulary;
  std::vector<LogitKind> kinds;
  std::vector<std::vector<float>> logits;
  std::vector<RowSampling> parameters;

  static Rows random(std::int32_t rows, std::int32_t vocabulary, std::uint64_t seed) {
    Rows made{vocabulary, {}, {}, {}};
    Random choices(seed);
    for (std::int32_t row = 0; row < rows; ++row) {
      made.kinds.push_back(static_cast<LogitKind>(row % logit_kinds));
      made.logits.push_back(random_logits(made.kinds.back(), static_cast<std::size_t>(vocabulary),
                                          seed * 1000 + static_cast<std::uint64_t>(row)));
      made.parameters.push_back(random_sampling(choices, vocabulary));
    }
    return made;
  }
  std::int32_t count() const { return static_cast<std::int32_t>(logits.size()); }
  /// Of the rows `first` ... `first + count - 1`, as a batch of the device.
  SampleBatch batch(std::int32_t first, std::int32_t rows, std::int64_t stride) const {
    SampleBatch made(rows, vocabulary, stride);
    std::vector<float> all;
    for (std::int32_t row = first; row < first + rows; ++row) {
      const auto& own = logits[static_cast<std::size_t>(row)];
      all.insert(all.end(), own.begin(), own.end());
      all.resize(static_cast<std::size_t>(row - first + 1) * static_cast<std::size_t>(stride), not_a_number);
    }
    made.write_logits(all);
    made.write_parameters({parameters.begin() + first, parameters.begin() + first + rows});
    made.spoil();
    return made;
  }
};

std::int64_t even_stride(std::int32_t vocabulary) { return (vocabulary + 3) / 4 * 4; }

std::vector<SampledRow> results_of(SampleBatch& batch) {
  batch.run(nullptr);
  auto results = batch.results();
  EXPECT_TRUE(batch.is_rest_spoiled()) << "something after the last of " << batch.rows() << " rows was written";
  const auto tokens = batch.tokens();
  for (std::size_t row = 0; row < results.size(); ++row)
    EXPECT_EQ(tokens[row], results[row].token) << "the token for the next step, of row " << row;
  return results;
}

/// The summary's best token and logit exactly, and its log-sum-exp closely.
void expect_summary(const std::vector<float>& logits, const LogitSummary& summary) {
  const auto best = std::max_element(logits.begin(), logits.end());
  EXPECT_EQ(summary.best, best - logits.begin());
  EXPECT_EQ(std::signbit(summary.max), std::signbit(*best));
  EXPECT_EQ(summary.max, *best);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(*best));
  const double exact = static_cast<double>(*best) + std::log(sum);
  EXPECT_NEAR(summary.log_sum_exp, exact, tolerance * std::max(1.0, std::fabs(exact)));
}

/// All but the log-sum-exp is what the CPU makes of these logits and this log-sum-exp.
void expect_as_on_cpu(const std::vector<float>& logits, const RowSampling& parameters, const SampledRow& row) {
  ASSERT_EQ(row.status, SampleStatus::chosen);
  expect_summary(logits, row.summary);
  const auto wanted = model::sample(logits, row.summary, as_model_parameters(parameters), parameters.position);
  ASSERT_TRUE(wanted) << wanted.error().message;
  EXPECT_EQ(row.token, wanted->token);
  EXPECT_EQ(row.log_probability, wanted->log_probability);
  ASSERT_EQ(static_cast<std::size_t>(row.listed_count), wanted->top.size());
  for (std::size_t i = 0; i < wanted->top.size(); ++i) {
    EXPECT_EQ(row.listed[i].token, wanted->top[i].token) << "listed in place " << i;
    EXPECT_EQ(row.listed[i].log_probability, wanted->top[i].log_probability) << "listed in place " << i;
  }
  for (int i = row.listed_count; i < listed_tokens_max; ++i)
    EXPECT_EQ(row.listed[i].token, 0) << "nothing is listed in place " << i;
}

struct Size {
  std::int32_t vocabulary;
  std::int32_t rows;
  std::int32_t blocks;
};

std::ostream& operator<<(std::ostream& stream, const Size& size) {
  return stream << size.rows << " rows of " << size.vocabulary << " tokens, " << size.blocks << " blocks each";
}

class CudaSampling : public OnHopper, public testing::WithParamInterface<Size> {};

TEST_P(CudaSampling, ChoosesWhatTheCpuChooses) {
  const auto [vocabulary, rows, blocks] = GetParam();
  constexpr std::uint64_t seed = 71;
  const Rows cases = Rows::random(rows, vocabulary, seed + static_cast<std::uint64_t>(blocks));
  SampleBatch batch = cases.batch(0, rows, even_stride(vocabulary));
  batch.set_blocks_per_row(blocks);
  const auto results = results_of(batch);
  int failed = 0;
  for (std::int32_t row = 0; row < rows; ++row) {
    const auto index = static_cast<std::size_t>(row);
    SCOPED_TRACE("row " + std::to_string(row) + " (" + name_of(cases.kinds[index]) + ") of " + std::to_string(vocabulary) +
                 " tokens: " + to_text(cases.parameters[index]));
    expect_as_on_cpu(cases.logits[index], cases.parameters[index], results[index]);
    failed += HasFailure() ? 1 : 0;
    ASSERT_LT(failed, 10) << "more rows may be wrong; " << row << " were looked at";
  }
  SampleBatch odd = cases.batch(0, rows, std::int64_t{vocabulary} | 1);  // read one by one
  odd.set_blocks_per_row(blocks);
  const auto odd_results = results_of(odd);
  EXPECT_TRUE(same_bits(odd_results, results)) << differing(odd_results, results) << " rows differ where the stride is odd";
}

INSTANTIATE_TEST_SUITE_P(Sizes, CudaSampling,
                         testing::Values(Size{1, 8, 8}, Size{2, 128, 8}, Size{16, 1500, 8}, Size{17, 500, 16},
                                         Size{1000, 1500, 8}, Size{1000, 500, 7}, Size{4099, 1000, 16}, Size{32000, 250, 8},
                                         Size{50257, 100, 16}, Size{128256, 256, 8}, Size{128256, 64, 16}, Size{128256, 128, 7},
                                         Size{151936, 64, 8}, Size{sampled_vocabulary_max, 40, 8},
                                         Size{sampled_vocabulary_max, 40, 16}),
                         [](const testing::TestParamInfo<Size>& size) {
                           return "Vocabulary" + std::to_string(size.param.vocabulary) + "Blocks" +
                                  std::to_string(size.param.blocks);
                         });

class CudaSamplingRows : public OnHopper {};

TEST_F(CudaSamplingRows, AreTheSameInEveryBatch) {
  constexpr std::int32_t rows_max = 256;
  for (const std::int32_t vocabulary : {1001, 20011}) {
    const Rows cases = Rows::random(rows_max, vocabulary, 5);
    SampleBatch all = cases.batch(0, rows_max, even_stride(vocabulary));
    const auto wanted = results_of(all);
    for (const std::int32_t count : {1, 2, 5, 33, 129, 256}) {
      for (const std::int32_t blocks : {0, 7, 8, 16}) {
        for (const std::int32_t first : {0, (rows_max - count) / 2, rows_max - count}) {
          SampleBatch some = cases.batch(first, count, even_stride(vocabulary));
          some.set_blocks_per_row(blocks);
          const auto results = results_of(some);
          ASSERT_TRUE(same_bits(results, {wanted.begin() + first, wanted.begin() + first + count}))
              << differing(results, {wanted.begin() + first, wanted.begin() + first + count}) << " of " << count
              << " rows, from row " << first << " on, with " << blocks << " blocks a row, of " << vocabulary << " tokens";
        }
      }
    }
  }
}

// A block alone ranks up to 2048 tokens that are near enough, and all blocks together rank more.
TEST_F(CudaSamplingRows, AreRankedWhetherOrNotABlockCanDoItAlone) {
  constexpr std::int32_t vocabulary = 5000;
  Rows cases{vocabulary, {}, {}, {}};
  Random random(31);
  for (const std::size_t near : {1, 20, 511, 512, 513, 2047, 2048, 2049, 4999}) {
    for (const std::int32_t top_k : {0, 1, 2000, 2048, 2049, 4998}) {
      cases.logits.emplace_back(vocabulary, -4.0F);
      auto& logits = cases.logits.back();
      for (std::size_t i = 0; i < near; ++i) logits[i * 2777 % vocabulary] = i % 3 == 0 ? 1.0F : 1.0F - 0.1F * random.uniform();
      cases.parameters.push_back({.temperature = 0.7F,
                                  .top_k = top_k,
                                  .top_p = random.chance(0.7F) ? 0.6F + 0.4F * random.uniform() : 1.0F,
                                  .seed = random.next(),
                                  .log_probabilities = 20});
    }
  }
  for (const std::int32_t blocks : {7, 8, 16}) {
    SampleBatch batch = cases.batch(0, cases.count(), vocabulary);
    batch.set_blocks_per_row(blocks);
    const auto results = results_of(batch);
    for (std::size_t row = 0; row < results.size(); ++row) {
      SCOPED_TRACE("row " + std::to_string(row) + ", " + std::to_string(blocks) + " blocks: " + to_text(cases.parameters[row]));
      expect_as_on_cpu(cases.logits[row], cases.parameters[row], results[row]);
    }
  }
}

class CudaSamplingNucleus : public OnHopper, public testing::WithParamInterface<std::int32_t> {};

TEST_P(CudaSamplingNucleus, EndsWhereTheCpuEndsIt) {
  const std::int32_t vocabulary = GetParam();
  const auto named = nucleus_rows(vocabulary, 13);
  Rows cases{vocabulary, {}, {}, {}};
  for (const NamedRow& row : named) {
    cases.logits.push_back(row.logits);
    cases.parameters.push_back(row.parameters);
  }
  SampleBatch batch = cases.batch(0, cases.count(), even_stride(vocabulary));
  batch.set_blocks_per_row(8);
  const auto results = results_of(batch);
  batch.set_blocks_per_row(16);
  const auto wide_results = results_of(batch);
  batch.set_blocks_per_row(7);
  const auto narrow_results = results_of(batch);
  for (std::size_t row = 0; row < results.size(); ++row) {
    SCOPED_TRACE("\"" + named[row].name + "\": " + to_text(cases.parameters[row]));
    expect_as_on_cpu(cases.logits[row], cases.parameters[row], results[row]);
    EXPECT_TRUE(same_bits<SampledRow>({wide_results[row]}, {results[row]})) << "16 blocks find another one than 8";
    EXPECT_TRUE(same_bits<SampledRow>({narrow_results[row]}, {results[row]})) << "7 blocks find another one than 8";
  }
}

// 245 760 are the most for 8 blocks.
INSTANTIATE_TEST_SUITE_P(Vocabularies, CudaSamplingNucleus, testing::Values(4096, 4099, 20011, 128256, 245760),
                         [](const testing::TestParamInfo<std::int32_t>& vocabulary) {
                           return std::to_string(vocabulary.param);
                         });

TEST_F(CudaSamplingRows, ThatAreCorruptSaySoAndDisturbNobody) {
  constexpr std::int32_t vocabulary = 5000;
  Rows cases = Rows::random(8 * logit_kinds, vocabulary, 9);
  SampleBatch intact = cases.batch(0, cases.count(), vocabulary);
  const auto wanted = results_of(intact);
  const auto spoil = [&](std::size_t row, const std::vector<std::pair<std::size_t, float>>& changes) {
    for (const auto& [token, logit] : changes) cases.logits[row][token] = logit;
  };
  spoil(0, {{4999, not_a_number}});
  spoil(3, {{0, not_a_number}, {17, infinity}});
  spoil(8, {{1234, infinity}, {4000, infinity}});
  cases.logits[21].assign(vocabulary, -infinity);
  cases.logits[22].assign(vocabulary, not_a_number);
  cases.logits[40].assign(vocabulary, -infinity);
  spoil(40, {{0, not_a_number}});
  SampleBatch batch = cases.batch(0, cases.count(), vocabulary);
  const auto results = results_of(batch);
  for (std::size_t row = 0; row < results.size(); ++row) {
    SCOPED_TRACE("row " + std::to_string(row));
    const SampledRow& result = results[row];
    const bool corrupt = row == 0 || row == 3 || row == 8 || row == 21 || row == 22 || row == 40;
    if (!corrupt) {
      EXPECT_TRUE(same_bits<SampledRow>({result}, {wanted[row]}));
      continue;
    }
    EXPECT_EQ(result.status, SampleStatus::corrupt);
    EXPECT_EQ(result.token, 0);
    EXPECT_EQ(result.listed_count, 0);
    EXPECT_FALSE(model::sample(cases.logits[row], result.summary, as_model_parameters(cases.parameters[row]), 0));
    const bool has_nan = row == 0 || row == 3 || row == 22 || row == 40;
    EXPECT_EQ(std::isnan(result.summary.log_sum_exp), has_nan) << result.summary.log_sum_exp;
  }
  EXPECT_EQ(results[0].summary.max, wanted[0].summary.max);
  EXPECT_EQ(results[3].summary.best, 17);
  EXPECT_EQ(results[8].summary.best, 1234);
  EXPECT_EQ(results[8].summary.log_sum_exp, infinity);
  EXPECT_EQ(results[21].summary.best, 0);
  EXPECT_EQ(results[21].summary.log_sum_exp, -infinity);
  EXPECT_EQ(results[22].summary.max, -infinity);
  EXPECT_EQ(results[40].summary.best, 1) << "a NaN never wins";
}

TEST_F(CudaSamplingRows, AreChosenInAGraphFromWhatIsThereWhenItRuns) {
  constexpr std::int32_t vocabulary = 32000;
  constexpr std::int32_t rows = 7;
  const Rows first = Rows::random(rows, vocabulary, 11);
  const Rows second = Rows::random(rows, vocabulary, 12);
  SampleBatch batch = first.batch(0, rows, vocabulary);
  const auto first_results = results_of(batch);
  SampleBatch other = second.batch(0, rows, vocabulary);
  const auto second_results = results_of(other);
  const Stream stream;
  const Graph graph(stream, [&](cudaStream_t captured) {
    batch.run(captured);
    batch.run(captured);
  });
  const auto run = [&] {
    batch.spoil();
    graph.launch(stream);
    return batch.results();
  };
  EXPECT_TRUE(same_bits(run(), first_results));
  batch.write_parameters(second.parameters);
  std::vector<float> logits;
  for (const auto& row : second.logits) logits.insert(logits.end(), row.begin(), row.end());
  batch.write_logits(logits);
  EXPECT_TRUE(same_bits(run(), second_results));
}

TEST_F(CudaSamplingRows, AreRefusedIfTheArgumentsMakeNoSense) {
  const DeviceArray<float> logits(32);
  const DeviceArray<RowSampling> parameters(1);
  const DeviceArray<SampledRow> results(1);
  const Sample valid{logits.data(), 16, 1, 16, parameters.data(), results.data(), nullptr, 0};
  EXPECT_EQ(sample(nullptr, valid), cudaSuccess) << "no tokens are wanted beside the results";
  EXPECT_EQ(results.read().front().status, SampleStatus::chosen);
  const auto with = [&](auto change) {
    Sample changed = valid;
    change(changed);
    return sample(nullptr, changed);
  };
  EXPECT_EQ(with([](Sample& s) { s.rows = 0; }), cudaSuccess);
  EXPECT_EQ(with([](Sample& s) { s.rows = -1; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](Sample& s) { s.vocabulary = 0; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](Sample& s) { s.vocabulary = sampled_vocabulary_max + 1; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](Sample& s) {
              s.rows = 2;
              s.logits_stride = 15;
            }),
            cudaErrorInvalidValue);
  EXPECT_EQ(with([](Sample& s) { s.blocks_per_row = 3; }), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace troupe::kernels::cuda
