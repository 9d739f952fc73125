#include "storage/corpus.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"
#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

std::vector<Section> sections(std::size_t count, std::size_t text_bytes = 10) {
  std::vector<Section> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back({"doc#" + std::to_string(i), "Doc §" + std::to_string(i), std::string(text_bytes, 'x')});
  }
  return made;
}

Corpus corpus_of(std::vector<Section> made) { return *make_corpus(std::move(made)); }

void write(Store& store, const std::vector<WriteBatch>& batches) {
  for (const auto& batch : batches) ASSERT_TRUE(store.write({batch})[0]);
}

std::size_t records(const Store& store) { return store.scan(Column::corpus, "", "z", 100000)->size(); }

TEST(Corpus, IsNamedByAllOfItsSections) {
  const Corpus corpus = corpus_of(sections(3));
  EXPECT_EQ(corpus.version.size(), 16U);
  EXPECT_EQ(corpus.version.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(corpus_of(sections(3)).version, corpus.version);
  for (int change = 0; change < 6; ++change) {
    auto other = sections(3);
    if (change == 0) other[1].key += "x";
    if (change == 1) other[1].name += "x";
    if (change == 2) other[1].text += "x";
    if (change == 3) std::swap(other[0], other[1]);
    if (change == 4) other.pop_back();
    if (change == 5) other[1].heading = "x";
    EXPECT_NE(corpus_of(other).version, corpus.version) << change;
  }
  auto moved = sections(1);
  moved[0].text = moved[0].name.back() + moved[0].text;
  moved[0].name.pop_back();
  EXPECT_NE(corpus_of(moved).version, corpus_of(sections(1)).version) << "a boundary between fields counts";
}

TEST(Corpus, IsThereAgainAfterACrash) {
  MemoryStore store;
  EXPECT_FALSE(*load_corpus(store));
  const Corpus corpus = corpus_of(sections(300));
  write(store, put_corpus(corpus));
  store.crash();
  EXPECT_EQ(**load_corpus(store), corpus);
  const Corpus empty = corpus_of({});
  write(store, put_corpus(empty));
  EXPECT_EQ(**load_corpus(store), empty);
}

TEST(Corpus, IsReplacedByTheLastPieceAlone) {
  MemoryStore store;
  const Corpus first = corpus_of(sections(2));
  const Corpus second = corpus_of(sections(130, 30000));
  write(store, put_corpus(first));
  const auto pieces = put_corpus(second);
  ASSERT_GT(pieces.size(), 4U);
  for (const auto& piece : pieces) {
    EXPECT_EQ(**load_corpus(store), first);
    std::size_t bytes = 0;
    for (const auto& put : piece.puts) bytes += put.key.size() + put.value->size();
    EXPECT_LE(bytes, std::size_t{1} << 20);
    write(store, {piece});
  }
  EXPECT_EQ(**load_corpus(store), second);
  EXPECT_EQ(records(store), 133U);
  write(store, *forget_other_corpora(store));
  EXPECT_EQ(records(store), 131U);
  EXPECT_EQ(**load_corpus(store), second);
  EXPECT_TRUE(forget_other_corpora(store)->empty());
}

TEST(Corpus, HasLimits) {
  EXPECT_TRUE(make_corpus(sections(1, Corpus::text_bytes_max)));
  const auto expect_refused = [](std::vector<Section> made, ErrorCode code, const std::string& word) {
    const auto result = make_corpus(std::move(made));
    ASSERT_FALSE(result) << word;
    EXPECT_EQ(result.error().code, code);
    EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  };
  expect_refused(sections(1, Corpus::text_bytes_max + 1), ErrorCode::too_large, "doc#0 has 65537 bytes");
  expect_refused(sections(Corpus::sections_max + 1), ErrorCode::too_large, "65537 sections");
  expect_refused(sections(1030, Corpus::text_bytes_max), ErrorCode::too_large, "67108864");
  expect_refused({{"", "n", "t"}}, ErrorCode::invalid_argument, "no key");
  expect_refused({{"k", std::string(1025, 'n'), "t"}}, ErrorCode::too_large, "1025");
  expect_refused({{"k", "a", "t"}, {"k", "b", "t"}}, ErrorCode::invalid_argument, "section k is there twice");
}

TEST(Corpus, DoesNotLoadWithAnythingChanged) {
  const Corpus corpus = corpus_of(sections(3));
  std::vector<Put> puts;
  for (const auto& batch : put_corpus(corpus)) puts.insert(puts.end(), batch.puts.begin(), batch.puts.end());
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    MemoryStore store;
    auto damaged = puts;
    Put& put = damaged[random.below(damaged.size())];
    if (random.chance(0.2F)) {
      put.value.reset();
    } else if (random.chance(0.3F)) {
      put.value->resize(random.below(put.value->size()));
    } else {
      char& byte = put.value->at(random.below(put.value->size()));
      byte = static_cast<char>(byte ^ static_cast<char>(1 + random.below(255)));
    }
    ASSERT_TRUE(store.write({{damaged, std::nullopt}})[0]);
    const auto loaded = load_corpus(store);
    const bool none = loaded && !loaded->has_value();  // its name was removed
    EXPECT_TRUE(none ? put.key == "current" && !put.value : !loaded);
    static_cast<void>(forget_other_corpora(store));
  }
}

TEST(Corpus, OfTheFormatThatHadNoHeadingsIsStillRead) {
  const Corpus corpus = corpus_of(sections(3));
  MemoryStore store;
  for (auto batch : put_corpus(corpus)) {
    for (Put& put : batch.puts) {
      put.value->front() = 1;
      if (put.key != "current") put.value->resize(put.value->size() - 4);  // the length of the heading
    }
    write(store, {batch});
  }
  EXPECT_EQ(**load_corpus(store), corpus) << "and has the version that it had";
}

TEST(Corpus, KeepsHeadings) {
  MemoryStore store;
  auto made = sections(3);
  made[1].heading = "Audit logs";
  write(store, put_corpus(corpus_of(made)));
  EXPECT_EQ((*load_corpus(store))->sections, made);
}

TEST(Corpus, OfAnotherFormatIsRefused) {
  MemoryStore store;
  write(store, {{{{Column::corpus, "current", std::string("\x03rest")}}, std::nullopt}});
  const auto loaded = load_corpus(store);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::corrupt);
  EXPECT_NE(loaded.error().message.find("format 3, expected 2"), std::string::npos) << loaded.error().message;
}

}  // namespace
}  // namespace troupe::storage
