#include "storage/corpus_documents.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"
#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

const std::vector<Document> documents = {{"a", "hash a", {{"a#1", "A §1", "one", "First"}, {"a#2", "A §2", "two"}}},
                                         {"b", "hash b", {{"b#1", "B §1", "three"}}}};

void write(Store& store, const std::vector<WriteBatch>& batches) {
  for (const auto& batch : batches) ASSERT_TRUE(store.write({batch})[0]);
}

TEST(CorpusDocuments, AreThereAgainAfterACrash) {
  MemoryStore store;
  EXPECT_TRUE(load_documents(store)->empty());
  write(store, *put_documents(documents));
  store.crash();
  EXPECT_EQ(*load_documents(store), documents);
  EXPECT_EQ((*load_corpus(store))->sections.size(), 3U);
  write(store, *forget_other_corpora(store));
  EXPECT_EQ(*load_documents(store), documents) << "the catalogue is kept";
  write(store, *put_documents({}));
  EXPECT_TRUE(load_documents(store)->empty());
}

TEST(CorpusDocuments, OfACorpusWithoutACatalogueAreNamedByTheirKeys) {
  MemoryStore store;
  write(store, *put_documents(documents));
  std::vector<Section> sections = (*load_corpus(store))->sections;
  sections[2].text = "changed";
  write(store, put_corpus(*make_corpus(sections)));
  const auto found = *load_documents(store);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "a");
  EXPECT_EQ(found[0].content_hash, "") << "that of another corpus says nothing of this one";
  EXPECT_EQ(found[1].sections[0].text, "changed");
}

TEST(CorpusDocuments, WithADamagedCatalogueAreRefusedOrKnownByTheirKeys) {
  MemoryStore store;
  write(store, *put_documents(documents));
  const std::string catalogue = **store.get(Column::corpus, Corpus::catalogue_key);
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string damaged = catalogue;
    if (random.chance(0.3F)) {
      damaged.resize(random.below(damaged.size()));
    } else {
      char& byte = damaged[random.below(damaged.size())];
      byte = static_cast<char>(byte ^ static_cast<char>(1 + random.below(255)));
    }
    write(store, {{{{Column::corpus, std::string(Corpus::catalogue_key), damaged}}, std::nullopt}});
    const auto found = load_documents(store);
    if (!found) {
      EXPECT_EQ(found.error().code, ErrorCode::corrupt);
      continue;
    }
    std::size_t sections = 0;
    for (const Document& document : *found) sections += document.sections.size();
    EXPECT_EQ(sections, 3U);
  }
}

}  // namespace
}  // namespace troupe::storage
