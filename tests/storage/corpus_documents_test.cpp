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

CataloguedCorpus corpus_of(std::vector<Document> made) { return *catalogued(std::move(made)); }

Document document(const std::string& name, const std::string& text) { return {name, "hash", {{name + "#1", name, text}}}; }

TEST(CorpusChanges, MakeAnotherCorpusAndSayWhatIsInIt) {
  const CataloguedCorpus before = corpus_of(documents);
  const auto after = changed_corpus(before, {{document("c", "new")}, {"b"}});
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->documents, (std::vector<policy::DocumentEntry>{{"a", "hash a", 2}, {"c", "hash", 1}}));
  EXPECT_EQ(after->corpus.sections.size(), 3U);
  EXPECT_NE(after->corpus.version, before.corpus.version);
  EXPECT_EQ(*changed_corpus(*after, {{documents[1]}, {"c"}}), before) << "what is taken back is as it was";
  EXPECT_EQ(changed_corpus({}, {{document("c", "new")}, {}})->documents.size(), 1U);
}

TEST(CorpusChanges, AreDurableWholeOrNotAtAll) {
  const CataloguedCorpus before = corpus_of(documents);
  std::vector<Document> many = documents;
  for (int i = 0; i < 40; ++i) many.push_back(document("d" + std::to_string(100 + i), std::string(60000, 'x')));
  const CataloguedCorpus after = corpus_of(many);
  const auto pieces = put_catalogued(after);
  ASSERT_GE(pieces.size(), 3U) << "so that there is something between";
  for (std::size_t written = 0; written <= pieces.size(); ++written) {
    SCOPED_TRACE(written);
    MemoryStore store;
    write(store, put_catalogued(before));
    write(store, {pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(written)});
    store.crash();
    const auto& expected = written == pieces.size() ? after : before;
    EXPECT_EQ(**load_catalogued(store), expected);
    write(store, *forget_other_corpora(store));
    EXPECT_EQ(store.scan(Column::corpus, "", "", 1000)->size(), expected.corpus.sections.size() + 2) << "and nothing else";
    EXPECT_EQ(**load_catalogued(store), expected);
  }
}

TEST(CorpusChanges, LeaveNothingOfTheCorpusBefore) {
  MemoryStore store;
  const CataloguedCorpus before = corpus_of(documents);
  const CataloguedCorpus after = corpus_of({document("c", "new")});
  write(store, put_catalogued(before));
  write(store, put_catalogued(after));
  write(store, forget_corpus(before.corpus));
  EXPECT_EQ(store.scan(Column::corpus, "", "", 1000)->size(), 3U) << "a section, which corpus it is, and its catalogue";
  EXPECT_EQ(**load_catalogued(store), after);
}

TEST(CorpusChanges, OfHashesAloneAreTheCatalogues) {
  MemoryStore store;
  std::vector<Document> touched = documents;
  touched[0].content_hash = "another";
  write(store, put_catalogued(corpus_of(documents)));
  write(store, {put_catalogue(corpus_of(touched))});
  EXPECT_EQ(*load_documents(store), touched);
}

TEST(CorpusChanges, OfStrangersAreLookedAt) {
  const auto refused = [](Document made, const std::string& said) {
    const auto result = changed_corpus(corpus_of(documents), {{std::move(made)}, {}});
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find(said), std::string::npos) << result.error().message;
  };
  refused(document("c", "caf\xE9"), "the text of section c#1 is not UTF-8 at byte 3");
  refused(document("c", std::string("a\0b", 3)), "ends a line at byte 1");
  refused(document("c", "one\ntwo"), "ends a line at byte 3");
  refused(document("c\n", "text"), "the name of a document ends a line");
  refused(document("\xFF", "text"), "the name of a document is not UTF-8");
  refused(document(std::string(1025, 'n'), "text"), "1025 bytes, expected at most 1024");
  Document hash = document("c", "text");
  hash.content_hash = std::string(65, 'f');
  refused(hash, "the content hash of document c has 65 bytes");
  refused(document("c", std::string(65537, 'x')), "section c#1 has 65537 bytes");
  Document twice = document("c", "text");
  twice.sections.push_back(twice.sections[0]);
  refused(twice, "section c#1 is there twice");
}

}  // namespace
}  // namespace troupe::storage
