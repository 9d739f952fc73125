// Documents, and what a search of them finds, as operators see and send them.
#include <utility>

#include "schemas/client_codec.hpp"
#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

using parts::text;

namespace {

unsigned size_of(const auto& values) { return static_cast<unsigned>(values.size()); }

policy::Section read_section(client::Section::Reader from) {
  return {text(from.getKey()), text(from.getName()), text(from.getText()), text(from.getHeading())};
}

}  // namespace

void write(client::Section::Builder to, const policy::Section& section) {
  to.setKey(text(section.key));
  to.setName(text(section.name));
  to.setText(text(section.text));
  to.setHeading(text(section.heading));
}

Result<policy::Document> read(client::Document::Reader from) {
  const auto sections = from.getSections();
  if (sections.size() > ClientLimits::sections)
    return parts::too_many("a document in one call", sections.size(), ClientLimits::sections);
  policy::Document document{text(from.getName()), text(from.getContentHash()), {}};
  for (const auto each : sections) document.sections.push_back(read_section(each));
  return document;
}

void write(client::DocumentPage::Builder to, const policy::DocumentPage& page) {
  to.setVersion(text(page.version));
  auto documents = to.initDocuments(size_of(page.documents));
  for (unsigned i = 0; i < documents.size(); ++i) {
    documents[i].setName(text(page.documents[i].name));
    documents[i].setContentHash(text(page.documents[i].content_hash));
    documents[i].setSections(page.documents[i].sections);
  }
  to.setMore(page.more);
}

Result<policy::DocumentPage> read(client::DocumentPage::Reader from) {
  const auto documents = from.getDocuments();
  if (documents.size() > policy::DocumentPage::documents_max)
    return parts::too_many("a page of documents", documents.size(), policy::DocumentPage::documents_max);
  policy::DocumentPage page;
  page.version = text(from.getVersion());
  for (const auto each : documents) {
    page.documents.push_back({text(each.getName()), text(each.getContentHash()), each.getSections()});
  }
  page.more = from.getMore();
  return page;
}

void write(client::CorpusView::Builder to, const policy::CorpusView& view) {
  to.setNode(text(view.node));
  to.setVersion(text(view.version));
  to.setDocuments(view.documents);
  to.setSections(view.sections);
}

Result<policy::CorpusView> read(client::CorpusView::Reader from) {
  return policy::CorpusView{text(from.getNode()), text(from.getVersion()), from.getDocuments(), from.getSections()};
}

void write(client::SearchHits::Builder to, const policy::SearchHits& hits) {
  auto list = to.initHits(size_of(hits.hits));
  for (unsigned i = 0; i < list.size(); ++i) {
    write(list[i].initSection(), hits.hits[i].section);
    list[i].setVia(text(hits.hits[i].via));
  }
  to.setCovered(hits.evidence.covered);
  to.setBestCovers(hits.evidence.best_covers);
  to.setUnknown(hits.evidence.unknown);
  to.setPairs(hits.evidence.pairs);
  to.setLead(hits.evidence.lead);
  to.setBridge(hits.evidence.bridge);
}

Result<policy::SearchHits> read(client::SearchHits::Reader from) {
  const auto list = from.getHits();
  if (list.size() > policy::SearchHits::hits_max)
    return parts::too_many("what a search found", list.size(), policy::SearchHits::hits_max);
  policy::SearchHits hits;
  for (const auto each : list) hits.hits.push_back({read_section(each.getSection()), text(each.getVia())});
  hits.evidence = {.covered = from.getCovered(),
                   .best_covers = from.getBestCovers(),
                   .unknown = from.getUnknown(),
                   .pairs = from.getPairs(),
                   .lead = from.getLead(),
                   .bridge = from.getBridge()};
  return hits;
}

}  // namespace troupe::schemas
