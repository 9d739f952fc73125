#include <capnp/message.h>
#include <gtest/gtest.h>

#include <string>

#include "schemas/client_codec.hpp"

namespace troupe::schemas {
namespace {

template <class Message, class Value>
auto there_and_back(const Value& value) {
  capnp::MallocMessageBuilder message;
  write(message.initRoot<Message>(), value);
  return read_checked(message.getRoot<Message>().asReader());
}

TEST(ClientCorpusCodec, BringsBackWhatItIsGiven) {
  const policy::DocumentPage page{"0123456789abcdef", {{"rules", "hash", 3}, {"page.html", "", 1}}, true};
  EXPECT_EQ(there_and_back<client::DocumentPage>(page).value(), page);
  const policy::CorpusView view{"one", "0123456789abcdef", 2, 4};
  EXPECT_EQ(there_and_back<client::CorpusView>(view).value(), view);
  policy::SearchHits hits;
  hits.evidence = {.covered = 0.1, .best_covers = 0.2, .unknown = 0.3, .pairs = 0.4, .lead = 0.5, .bridge = 0.6};
  hits.hits = {{{"rules#1", "Rules §1", "Files are kept.", "Files"}, ""}, {{"rules#2", "Rules §2", "", ""}, "rules#1"}};
  EXPECT_EQ(there_and_back<client::SearchHits>(hits).value(), hits);
}

TEST(ClientCorpusCodec, ReadsADocumentWithItsSections) {
  capnp::MallocMessageBuilder message;
  auto document = message.initRoot<client::Document>();
  document.setName("rules");
  document.setContentHash("hash");
  write(document.initSections(1)[0], policy::Section{"rules#1", "Rules §1", "Files are kept.", "Files"});
  EXPECT_EQ(read_checked(document.asReader()).value(),
            (policy::Document{"rules", "hash", {{"rules#1", "Rules §1", "Files are kept.", "Files"}}}));
}

template <class Message>
void expect_too_large(Message message) {
  const auto result = read_checked(message);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::too_large) << result.error().message;
}

TEST(ClientCorpusCodec, RefusesListsThatAreTooLong) {
  capnp::MallocMessageBuilder documents;
  documents.initRoot<client::Document>().initSections(ClientLimits::sections + 1);
  expect_too_large(documents.getRoot<client::Document>().asReader());
  capnp::MallocMessageBuilder pages;
  pages.initRoot<client::DocumentPage>().initDocuments(policy::DocumentPage::documents_max + 1);
  expect_too_large(pages.getRoot<client::DocumentPage>().asReader());
  capnp::MallocMessageBuilder searches;
  searches.initRoot<client::SearchHits>().initHits(policy::SearchHits::hits_max + 1);
  expect_too_large(searches.getRoot<client::SearchHits>().asReader());
}

}  // namespace
}  // namespace troupe::schemas
